/// Keeps a sum of low-rank adapters as one: from its terms to a folder as PEFT has it, with what each module loses.
namespace Tva.Dsl

open System.Collections.Generic
open System.IO
open System.Threading
open Tva.Core
open Tva.Core.Adapters
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// An adapter on its way to a folder.
type AdapterSave =
    { Value: TensorValue
      Folder: string
      Rank: int option
      DType: DType
      Expression: string
      Terms: LowRankTerm list }

module AdapterSaving =

    /// What has to be known for a sum of adapters; `node` is its normal form with all that is known by now.
    let prepare (program: Program) (node: Node) (value: TensorValue) folder rank dtype expression : AdapterSave =
        match LowRankForm.terms program.Graph program.IsLowRank node with
        | Some terms ->
            { Value = value; Folder = folder; Rank = rank; DType = dtype; Expression = expression; Terms = terms }
        | None -> raise (FaultException $"{folder}: `{expression}` has turned out as no sum of low-rank adapters")

    /// The coefficients that data have still to tell.
    let numbers (s: AdapterSave) = s.Terms |> List.map _.Coefficient |> List.filter (LowRankForm.isFree >> not)

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

    /// Writes the folder. Gives back its bytes and what each module loses.
    let finish (program: Program) (s: AdapterSave) (values: Node -> (string * float) list) (threads: int) (cancellation: CancellationToken) =
        let reference = (s.Value.Set |> Option.get).Reference
        let origin = program.Sources[reference].Checkpoint
        let terms =
            [ for source, same in s.Terms |> List.groupBy _.Source do
                  // One adapter in several places of the text is one pair of factors.
                  let total = Dictionary<string, float>()
                  let parts = same |> List.map (weights program origin.Tensors values)
                  for info in origin.Tensors do
                      if info.DType.IsFloating() then
                          total[info.Name] <- parts |> List.sumBy (fun weight -> weight info)
                  let weight (info: TensorInfo) = match total.TryGetValue info.Name with | true, w -> w | _ -> 0.0
                  struct (program.Sources[source].Checkpoint :?> AdapterCheckpoint, System.Func<TensorInfo, float> weight) ]
        let content = AdapterSum(origin, List.toArray terms, Option.toNullable s.Rank)
        let metadata = Dictionary<string, string>()
        metadata["format"] <- "pt"
        metadata["tva.version"] <- Batch.version
        metadata["tva.expression"] <- s.Expression
        metadata["tva.inputs"] <- Batch.inputs program [ s.Value.Node ]
        let errors = AdapterWriter.Write(s.Folder, content, origin, s.DType, metadata, threads, cancellation)
        let bytes = [ "adapter_model.safetensors"; AdapterConfig.FileName ] |> List.sumBy (fun f -> FileInfo(Path.Combine(s.Folder, f)).Length)
        bytes, List.ofSeq errors
