/// Keeps a change as a low-rank adapter, a sum of adapters by its terms and any other by its decomposition: to a folder as PEFT has it, with
/// what each module loses.
namespace Tva.Dsl

open System.Collections.Generic
open System.IO
open System.Threading
open Tva.Core
open Tva.Core.Adapters
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// What an adapter is made of.
[<RequireQualifiedAccess>]
type AdapterParts =
    | Sum of LowRankTerm list
    /// The node that decomposes every tensor of the change.
    | Decomposed of Node

/// An adapter on its way to a folder.
type AdapterSave =
    { Value: TensorValue
      Folder: string
      Rank: int option
      DType: DType
      Expression: string
      Parts: AdapterParts }

module AdapterSaving =

    /// Weights of modules take the rank asked for; what is no module's is decomposed in full, which is exact.
    let private decomposition (program: Program) (value: TensorValue) (node: Node) (rank: int) =
        let g = program.Graph
        let bare = [ for t in program.SetTensors value.Set.Value do if not (DecomposedAdapter.IsModule t) then t.Name ]
        let ranks = g.Make(Choose [ Names bare; Everything ], [| g.Const 1e9; g.Const(float rank) |], node.Origin)
        g.Make(Matrix MatrixKind.LowRank, [| node; ranks |], node.Origin)

    /// What has to be known for an adapter; `node` is the change's normal form with all that is known by now.
    let prepare (program: Program) (node: Node) (value: TensorValue) folder rank dtype expression : AdapterSave =
        let of' parts = { Value = value; Folder = folder; Rank = rank; DType = dtype; Expression = expression; Parts = parts }
        match LowRankForm.terms program.Graph program.IsLowRank node, rank with
        | Some terms, _ -> of' (AdapterParts.Sum terms)
        | None, Some rank -> of' (AdapterParts.Decomposed(decomposition program value node rank))
        | None, None -> raise (FaultException $"{folder}: `{expression}` has turned out as no sum of low-rank adapters")

    /// The coefficients that data have still to tell.
    let numbers (s: AdapterSave) =
        match s.Parts with
        | AdapterParts.Sum terms -> terms |> List.map _.Coefficient |> List.filter (LowRankForm.isFree >> not)
        | AdapterParts.Decomposed _ -> []

    /// The content of an adapter that has to be decomposed; reads the data.
    let decompose (program: Program) (work: Work) (s: AdapterSave) : IAdapterContent option =
        match s.Parts with
        | AdapterParts.Sum _ -> None
        | AdapterParts.Decomposed node ->
            let reference = s.Value.Set.Value.Reference
            let group = Batch.factors program reference node
            let request = { Value = s.Value; Path = s.Folder; Types = Storage.Kept; Shard = None; Provenance = s.Expression; Stack = None }
            use result = work.Run({ group with Saves = [ request ] }, "decomposing")
            let origin = program.Sources[reference].Checkpoint
            let plan = group.Planned.Plan
            let changes =
                [| for struct (t, step, i) in group.Planned.Factors.Head do
                       match origin.Find plan.Tensors[t].Name, result.Factors.TryGetValue(struct (step, i, t)) with
                       | null, _
                       | _, (false, _) -> ()
                       | info, (true, factors) -> struct (info, factors) |]
            Some(DecomposedAdapter(origin, changes))

    /// A term's coefficient by tensor.
    let private weights (program: Program) (all: IReadOnlyList<TensorInfo>) (values: Node -> (string * float) list) (t: LowRankTerm) =
        let k = t.Coefficient
        let number: TensorInfo -> float =
            if LowRankForm.isFree k then
                fun info ->
                    match (Passes.simplifyFor program.Graph all info k).Op with
                    | Const c -> c
                    | Given numbers -> numbers.ByName[info.Name]
                    | op -> invalidOp $"{op} is no number known beforehand"
            else
                let found = dict (values k)
                match k.Extent with
                | Extent.All -> fun _ -> Seq.head found.Values
                | Extent.Layer -> fun info -> found[Solving.layerName info.Layer]
                | _ -> fun info -> found[info.Name]
        fun (info: TensorInfo) -> if LowRankForm.selects info.Name info.Layer t then number info else 0.0

    let private sum (program: Program) (s: AdapterSave) (origin: Checkpoint) (sources: LowRankTerm list) (values: Node -> (string * float) list) =
        let terms =
            [ for source, same in sources |> List.groupBy _.Source do
                  // One adapter in several places of the text is one pair of factors.
                  let total = Dictionary<string, float>()
                  let parts = same |> List.map (weights program origin.Tensors values)
                  for info in origin.Tensors do
                      if info.DType.IsFloating() then
                          total[info.Name] <- parts |> List.sumBy (fun weight -> weight info)
                  let weight (info: TensorInfo) = match total.TryGetValue info.Name with | true, w -> w | _ -> 0.0
                  struct (program.Sources[source].Checkpoint :?> AdapterCheckpoint, System.Func<TensorInfo, float> weight) ]
        AdapterSum(origin, List.toArray terms, Option.toNullable s.Rank)

    /// Writes the folder. Gives back its bytes and what each module loses.
    let finish (program: Program) (s: AdapterSave) (decomposed: IAdapterContent option) (values: Node -> (string * float) list) (threads: int) (cancellation: CancellationToken) =
        let origin = program.Sources[s.Value.Set.Value.Reference].Checkpoint
        let content: IAdapterContent =
            match decomposed, s.Parts with
            | Some content, _ -> content
            | None, AdapterParts.Sum terms -> sum program s origin terms values
            | None, AdapterParts.Decomposed _ -> invalidOp "not decomposed"
        let metadata = Dictionary<string, string>()
        metadata["format"] <- "pt"
        metadata["tva.version"] <- Batch.version
        metadata["tva.kind"] <- "lora"
        metadata["tva.expression"] <- s.Expression
        metadata["tva.inputs"] <- Batch.inputs program [ s.Value.Node ]
        let errors = AdapterWriter.Write(s.Folder, content, origin, s.DType, metadata, threads, cancellation)
        let bytes = [ "adapter_model.safetensors"; AdapterConfig.FileName ] |> List.sumBy (fun f -> FileInfo(Path.Combine(s.Folder, f)).Length)
        bytes, List.ofSeq errors
