/// Groups what a batch of effects needs by tensor list and plans each group as one: outputs and numbers that share inputs share passes.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.IO
open System.Text
open System.Text.Json
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Plan
open Tva.Dsl.Typing

/// A checkpoint to write.
type SaveRequest =
    { Value: TensorValue
      Path: string
      Types: Storage
      /// None: one file. Else a folder, with the most bytes that a shard holds.
      Shard: int64 option
      Provenance: string
      /// Where it is a slice of stacked tensors.
      Stack: StackPart option }

/// The plan of one group, and the numbers it will tell.
type PlannedGroup =
    { Planned: Planned
      Reference: int
      Saves: SaveRequest list
      Numbers: Node list }

    /// Whether everything is known already.
    member g.NeedsNoRun = g.Planned.Plan.Steps.Count = 0 && g.Planned.Plan.Results.Count = 0 && g.Saves.IsEmpty

module Batch =

    let private sourcesOf (nodes: Node seq) =
        reachable nodes |> Seq.choose (fun n -> match n.Op with Op.Source i -> Some i | _ -> None) |> Seq.distinct |> List.ofSeq

    /// The source whose tensor list a number is over: a Model it is computed from, before anything has cancelled out.
    let referenceOf (program: Program) (node: Node) =
        let sources = sourcesOf [ node ]
        let origin i = match program.Origins.TryGetValue i with | true, o -> Some o | _ -> None
        sources
        |> List.tryFind program.Models.Contains
        |> Option.orElse (List.tryPick origin sources)
        |> Option.orElse (List.tryHead sources)

    /// The least source with the same tensors, so that equal lists meet in one group.
    let canonical (program: Program) (source: int) =
        seq { 0..source }
        |> Seq.find (fun i ->
            match program.Mismatches(i, source) with
            | [], [], [] -> true
            | _ -> false)

    let inputs (program: Program) (nodes: Node list) =
        use stream = new MemoryStream()
        (use json = new Utf8JsonWriter(stream)
         json.WriteStartObject()
         for i in sourcesOf nodes |> List.map program.Original |> List.distinct do
             let s = program.Sources[i]
             json.WriteString(s.Path, s.Checkpoint.Fingerprint)
         json.WriteEndObject())
        Encoding.UTF8.GetString(stream.ToArray())

    let version = string (typeof<SaveRequest>.Assembly.GetName().Version)

    /// The base's metadata, then where the result comes from.
    let private metadata (program: Program) (bound: Node) (s: SaveRequest) =
        let set = s.Value.Set |> Option.get
        let ctx = Context.afterwards program
        let kind =
            match Context.weightOf ctx s.Value with
            | _ when s.Stack.IsSome -> "atoms"
            | Weight.Delta -> "delta"
            | _ -> "model"
        let kept =
            [ for m in program.Sources[set.Reference].Checkpoint.Metadata do
                  if not (m.Key.StartsWith "tva.") then m.Key, m.Value ]
        kept
        // Without it other libraries refuse the file.
        @ (if kept |> List.exists (fun (key, _) -> key = "format") then [] else [ "format", "pt" ])
        @ [ "tva.version", version
            "tva.kind", kind
            "tva.expression", s.Provenance
            "tva.inputs", inputs program [ bound; s.Value.Node ] ]

    let private dtypes (program: Program) (reference: int) (s: SaveRequest) =
        let set = s.Value.Set |> Option.get
        let own = program.Sources[set.Reference].Checkpoint
        [| for t in program.Tensors reference do
              match s.Types.Of(t.Name, t.Layer) |> Option.orElse set.DType with
              | Some d when t.DType.IsFloating() -> d
              | _ ->
                  match own.Find t.Name with
                  | null -> t.DType
                  | u -> u.DType |]

    /// What to know of a task vector that takes a narrow type from its base, where nobody has chosen one: differences of its numbers may need more digits.
    let roundedVector (program: Program) (bound: Node) (s: SaveRequest) : string option =
        let set = s.Value.Set |> Option.get
        let types = dtypes program set.Reference s
        let narrow = [ for t, d in Seq.zip (program.Tensors set.Reference) types do if t.DType.IsFloating() && d.Size() < DType.F32.Size() then t, d ]
        // What a file holds in that type already stays as it is.
        let rec isCopy (node: Node) =
            match node.Op with
            | Restrict _ -> isCopy node.Args[0]
            | Op.Source i -> narrow |> List.forall (fun (t, d) -> match program.Sources[i].Checkpoint.Find t.Name with null -> true | own -> own.DType = d)
            | _ -> false
        match narrow with
        | (_, d) :: _ when s.Types = Storage.Kept && set.DType.IsNone && Context.weightOf (Context.afterwards program) s.Value = Weight.Delta && not (isCopy bound) ->
            Some $"{Path.GetFileName s.Path} is a task vector, rounded to {d.Name()} as its base is: base + delta may not give the model back; dtype = \"f32\" keeps all of it"
        | _ -> None

    /// The folder of the base, where it was named as one.
    let private baseFolder (program: Program) (s: SaveRequest) =
        let folderOf (i: int) =
            let path = program.Sources[program.Original i].Checkpoint.Path
            if Directory.Exists path then Some path
            elif path.EndsWith(".index.json", StringComparison.OrdinalIgnoreCase) then Path.GetDirectoryName path |> Option.ofObj
            else None
        (s.Value.Set |> Option.get).Reference :: (sourcesOf [ s.Value.Node ] |> List.filter program.Models.Contains)
        |> List.tryPick folderOf

    /// Where an output is a folder: what goes beside its tensors.
    let private folder (program: Program) (s: SaveRequest) =
        s.Shard |> Option.map (fun bytes ->
            let set = s.Value.Set |> Option.get
            let files =
                match baseFolder program s with
                | None -> Seq.empty
                | Some folder ->
                    let isModel = Context.weightOf (Context.afterwards program) s.Value = Weight.Model
                    let dtype = match s.Types, set.DType with Storage.All d, _ | Storage.Kept, Some d -> Some d | _ -> None
                    let layers = match program.Stacks.TryGetValue set.Reference with | true, stack -> Some(Array.ofList stack.Layers :> IReadOnlyList<int>) | _ -> None
                    let hasHead = program.Sources[set.Reference].Checkpoint.Tensors |> Seq.exists (fun t -> TiedWeights.IsHead t.Name)
                    SideFiles.Of(folder, isModel, ConfigChanges(Option.toNullable dtype, Option.toObj layers, hasHead))
            FolderOutput(bytes, Files = Array.ofSeq files, Card = true))

    let private sources (program: Program) = program.Sources |> Seq.map _.Checkpoint |> Array.ofSeq

    /// The plan of one low-rank matrix whose factors are wanted for themselves.
    let factors (program: Program) (reference: int) (node: Node) : PlannedGroup =
        let request =
            { Graph = program.Graph
              Sources = sources program
              Reference = reference
              Vectors = program.Vectors
              Outputs = []
              Scalars = []
              Factors = [ node ] }
        { Planned = Plan.make request; Reference = reference; Saves = []; Numbers = [] }

    /// One plan per tensor list, with late numbers bound. Numbers that are known already need none and are left out.
    let plan (program: Program) (bind: Node -> Node) (saves: SaveRequest list) (numbers: Node list) : PlannedGroup list =
        let groups = Dictionary<int, List<SaveRequest> * List<Node>>()
        let order = List<int>()
        let group reference =
            let key = canonical program reference
            match groups.TryGetValue key with
            | true, g -> g
            | _ ->
                let g = List<SaveRequest>(), List<Node>()
                groups[key] <- g
                order.Add key
                g
        for s in saves do
            (fst (group (s.Value.Set |> Option.get).Reference)).Add s
        for n in numbers |> List.distinctBy _.Id do
            match referenceOf program n with
            | Some reference -> (snd (group reference)).Add n
            | None -> ()
        [ for reference in order do
              let saves, numbers = groups[reference]
              let saves, numbers = List.ofSeq saves, List.ofSeq numbers
              let outputs =
                  saves
                  |> List.map (fun s ->
                      let root = bind s.Value.Node
                      { Root = root
                        Path = s.Path
                        DTypes = dtypes program reference s
                        Metadata = metadata program root s
                        Stack = s.Stack
                        Folder = folder program s }: OutputRequest)
              let request =
                  { Graph = program.Graph
                    Sources = sources program
                    Reference = reference
                    Vectors = program.Vectors
                    Outputs = outputs
                    Scalars = numbers |> List.map bind
                    Factors = [] }
              { Planned = Plan.make request; Reference = reference; Saves = saves; Numbers = numbers } ]
