/// The checkpoints of a program: from paths to sources by number, what their tensors are listed as, and whether two of them fit.
namespace Tva.Dsl.Typing

open System
open System.Collections.Generic
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl.Graph

/// What a program has opened. Sources stay open until it is disposed.
type ProgramSources() =
    let sources = List<Source>()
    let compatible = HashSet<struct (int * int)>()
    let models = HashSet<int>()
    let vectors = HashSet<int>()
    let stacks = Dictionary<int, StackDefinition>()
    let stackKeys = Dictionary<string, int>()
    let views = Dictionary<int, StackView>()
    /// What sources have shown before they listed other tensors.
    let shown = List<Checkpoint>()

    /// What the host gives and allows.
    member val Surroundings = Surroundings.None with get, set
    member _.Sources = sources

    /// Sources that hold differences: atoms, saved task vectors.
    member _.Vectors = vectors

    /// Whether a source is a low-rank adapter.
    member _.IsLowRank(source: int) = source >= 0 && sources[source].Checkpoint :? Tva.Core.Adapters.AdapterCheckpoint

    /// Of a source that has only some of a model's tensors, the source of that model.
    member val Origins = Dictionary<int, int>() with get

    /// Sources loaded as Models: their tensor lists govern.
    member _.Models = models

    /// Opens a checkpoint, each only once.
    member p.Open(path: string, shown: string) =
        match sources.FindIndex(fun s -> s.Checkpoint.Path = path) with
        | -1 ->
            let checkpoint = Checkpoint.Open path
            match p.Surroundings.Folders |> Option.bind (fun f -> Option.ofObj (f.OutsideOfRead checkpoint)) with
            | Some file ->
                checkpoint.Dispose()
                raise (FaultException $"{shown}: leads to {file}, outside the folders that may be read; copy the file itself there")
            | None -> ()
            sources.Add { Checkpoint = checkpoint; Path = shown }
            sources.Count - 1
        | i -> i

    /// Lists other tensors for a source from now on, for every expression over it. What is shown by the old list stays open.
    member p.Relist(source: int, checkpoint: Checkpoint) =
        shown.Add sources[source].Checkpoint
        sources[source] <- { sources[source] with Checkpoint = checkpoint }
        let isOf (struct (a, b): struct (int * int)) = a = source || b = source
        compatible.RemoveWhere(fun pair -> isOf pair) |> ignore
        let rows: Dictionary<struct (int * int), int> = p.RowsByToken
        for pair in List.ofSeq rows.Keys do
            if isOf pair then
                rows.Remove pair |> ignore

    /// Sources with the rows of another, by both.
    member val RowsByToken: Dictionary<struct (int * int), int> = Dictionary() with get

    /// Tokens that the tokenizers in two folders have under unlike ids.
    member val MovedTokens: Dictionary<struct (string * string), string list> = Dictionary() with get

    /// Takes a checkpoint in that somebody else has opened.
    member _.Add(checkpoint: Checkpoint, shown: string) =
        match sources.FindIndex(fun s -> s.Checkpoint.Path = checkpoint.Path && s.Checkpoint.Fingerprint = checkpoint.Fingerprint) with
        | -1 ->
            sources.Add { Checkpoint = checkpoint; Path = shown }
            sources.Count - 1
        | i ->
            if not (obj.ReferenceEquals(sources[i].Checkpoint, checkpoint)) then
                checkpoint.Dispose()
            i

    member _.Tensors(source: int) = sources[source].Checkpoint.Tensors

    /// The stacks, by the source that lists their tensors.
    member _.Stacks = stacks

    /// Which sources are others under the names of a stack.
    member _.Views = views

    /// The source that a view, or a view of a view, shows tensors of.
    member p.Original(source: int) =
        match views.TryGetValue source with
        | true, v -> p.Original v.Of
        | _ -> source

    /// The source under the names of a stack; `make` is asked the first time.
    member _.View(view: StackView, make: unit -> Checkpoint) =
        match views |> Seq.tryFind (fun v -> v.Value = view) with
        | Some v -> v.Key
        | None ->
            sources.Add { Checkpoint = make (); Path = sources[view.Of].Path }
            views[sources.Count - 1] <- view
            sources.Count - 1
        |> fun i ->
            if vectors.Contains view.Of then
                vectors.Add i |> ignore
            if models.Contains view.Of then
                models.Add i |> ignore
            i

    /// Takes a stack in, unless there is one of that key; `make` gives its tensors.
    member _.AddStack(key: string, layers: int list, shown: string, make: unit -> Checkpoint) =
        let i =
            match stackKeys.TryGetValue key with
            | true, i -> i
            | _ ->
                sources.Add { Checkpoint = make (); Path = shown }
                let i = sources.Count - 1
                stackKeys[key] <- i
                stacks[i] <- { Layers = layers; Rebuilt = Dictionary() }
                i
        // Also where it is known from a text that was taken back.
        models.Add i |> ignore
        i

    member private _.Differences(a: int, b: int, asked: TensorInfo -> bool) =
        let ca, cb = sources[a].Checkpoint, sources[b].Checkpoint
        let wanted = ca.Tensors |> Seq.filter asked |> List.ofSeq
        [ for t in wanted do if isNull (box (cb.Find t.Name)) then t.Name ],
        [ for t in cb.Tensors do if isNull (box (ca.Find t.Name)) then t.Name ],
        [ for t in wanted do
              match cb.Find t.Name with
              | null -> ()
              | u when not (u.Shape.Equals t.Shape) -> $"{t.Name} {t.Shape} against {u.Shape}"
              | u when u.DType.IsFloating() <> t.DType.IsFloating() || (not (t.DType.IsFloating()) && u.DType <> t.DType) ->
                  $"{t.Name} {t.DType.Name()} against {u.DType.Name()}"
              | _ -> () ]

    /// Whether two sources have been seen to fit.
    member _.Fit(a: int, b: int) = a = b || compatible.Contains(struct (a, b))

    /// Tensors that differ between two sources: missing from b, extra in b, of another shape; empty when they fit.
    member p.Mismatches(a: int, b: int) =
        if p.Fit(a, b) then [], [], []
        else
            let missing, extra, reshaped = p.Differences(a, b, fun _ -> true)
            if missing.IsEmpty && extra.IsEmpty && reshaped.IsEmpty then
                compatible.Add(struct (a, b)) |> ignore
                compatible.Add(struct (b, a)) |> ignore
            missing, extra, reshaped

    /// The same for the tensors of a that are algebra: atoms have no others.
    member p.FloatingMismatches(a: int, b: int) = p.Differences(a, b, _.DType.IsFloating())

    /// Bytes that a stored atom or an adapter takes in its file.
    member p.StoredBytes(atom: TensorValue) =
        match atom.Node with
        | { Op = Op.Source i }
        | { Op = Restrict _; Args = [| { Op = Op.Source i } |] } -> sources[i].Checkpoint.Tensors |> Seq.sumBy sources[i].Checkpoint.StoredBytes
        | _ -> 0L

    /// The layers of a set as (name, layer) pairs, for what varies by layer.
    member _.SetTensors(set: TensorSet) = sources[set.Reference].Checkpoint.Tensors

    interface IDisposable with
        member _.Dispose() =
            for s in sources do
                s.Checkpoint.Dispose()
            for c in shown do
                c.Dispose()
