/// From models and commands to the numbers that the commands print of them: those that have no file yet are written together, each model once.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.IO
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// A table to fill, the model it is of, the command and the folder where that runs.
type Evaluation = { Table: int; Model: TensorValue; Command: string; Folder: string }

type Measuring(program: Program, work: Work, bases: BasisWork) =
    let tables = program.Printed
    /// What has been saved where, so that a model saved and then measured is not written twice.
    let saved = Dictionary<int, string>()
    let measured = Dictionary<struct (int * string), (string * float) list>()

    let bound (node: Node) = Passes.simplify program.Graph (bases.Bind node)
    let nodeOf (value: TensorValue) = (bound value.Node).Id

    let savedAs node =
        match saved.TryGetValue node with
        | true, path when File.Exists path -> Some path
        | _ -> None

    let temporary () = Path.Combine(Path.GetTempPath(), $"tva-{Environment.ProcessId}-{Guid.NewGuid():N}.safetensors")

    /// So many candidates are written in one pass over what they share, as far as the temporary folder has room for.
    let most = 16

    /// So many where one command takes all of them.
    let mostAtOnce = 64

    let size (value: TensorValue) =
        match value.Set with
        | Some set -> program.SetTensors set |> Seq.sumBy _.Bytes
        | None -> 0L

    /// Whether a node waits for what a command has still to print.
    let rec waits (node: Node) =
        reachable [ bound node ] |> Seq.exists (fun n ->
            match n.Op with
            | Late(i, _) when i >= 0 ->
                match program.Late[i] with
                | OfTable _
                | OfOutputs _ -> true
                | OfAngles set -> program.AngleSets[set].Sources |> List.exists (fun x -> waits x.Node)
                | OfRule r -> program.Rules[r].Needs |> List.exists waits
                | OfBasis(b, _) ->
                    reachable (program.Bases[b].Gram |> List.concat |> List.map bases.Bind)
                    |> Seq.exists (fun n -> match n.Op with Late(i, _) when i >= 0 -> program.Late[i].IsOfTable | _ -> false)
            | _ -> false)

    /// A model has been saved; as the base is stored it need not be written again to be measured.
    member _.Saved(s: SaveRequest) =
        if s.Types = Storage.Kept then
            saved[nodeOf s.Value] <- s.Path

    /// Whether a model waits for what a command has still to print.
    member _.Waits(model: TensorValue) = waits model.Node

    /// Whether another model still fits beside those already waiting.
    member _.HasRoom(waiting: Evaluation seq, model: TensorValue, command) =
        let count = Seq.length waiting
        count < (if OutsideCommand.takesAll command then mostAtOnce else most)
        && (let free = try DriveInfo(Path.GetTempPath()).AvailableFreeSpace with _ -> 0L
            let bytes = size model + (waiting |> Seq.sumBy (fun e -> size e.Model))
            count = 0 || bytes < free / 2L)

    /// Measures models with commands; those that have to be written first are written together.
    member _.Run(evaluations: Evaluation list) =
        bases.Require(evaluations |> List.map _.Model.Node)
        work.Require(bases.Bind, evaluations |> List.map _.Model.Node)
        let isMeasured node command = measured.ContainsKey(struct (node, command))
        let missing =
            evaluations
            |> List.filter (fun e -> let node = nodeOf e.Model in not (isMeasured node e.Command) && (savedAs node).IsNone)
            |> List.map _.Model
            |> List.distinctBy nodeOf
        let paths = Dictionary<int, string>()
        try
            if not missing.IsEmpty then
                let saves =
                    [ for value in missing ->
                          { Value = value; Path = temporary (); Types = Storage.Kept; Shard = None; Provenance = "the model to evaluate"; Stack = None } ]
                for group in Batch.plan program bases.Bind saves [] do
                    use result = work.RunAnew(group, (match missing with [ _ ] -> "writing the model to evaluate" | _ -> $"writing {missing.Length} models to evaluate"))
                    work.During(saves, result.Commit)
                for s in saves do
                    paths[nodeOf s.Value] <- s.Path
            let pathOf node = savedAs node |> Option.defaultWith (fun () -> paths[node])
            for (command, folder), asked in evaluations |> List.groupBy (fun e -> e.Command, e.Folder) do
                let nodes = asked |> List.map (fun e -> nodeOf e.Model) |> List.distinct |> List.filter (fun node -> not (isMeasured node command))
                if not nodes.IsEmpty then
                    let found = OutsideCommand.run command folder (nodes |> List.map pathOf) work.Cancellation
                    List.iter2 (fun node cells -> measured[struct (node, command)] <- cells) nodes found
            for e in evaluations do
                tables[e.Table] <- measured[struct (nodeOf e.Model, e.Command)]
        finally
            for path in paths.Values do
                File.Delete path
