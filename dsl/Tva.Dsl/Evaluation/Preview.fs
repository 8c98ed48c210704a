/// What a run would do, as far as it is known before: the passes that measure bases, then those that save and show.
module Tva.Dsl.Preview

open System.Collections.Generic
open System.Threading
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Plan
open Tva.Dsl.Typing

/// The plans of a program's effects. A number that a command has still to print stands as 1; those of a basis that has still to be
/// measured stand as numbers that vary by tensor, so that none of them vanishes.
let plans (program: Program) (settings: RunSettings) : Planned list =
    let work = Work(program, settings, None, ignore, CancellationToken.None)
    let bases = BasisWork(program, work, fun _ _ -> Some 1.0)
    let kept =
        [ for effect in program.Effects do
              match effect with
              | Effect.SaveBasis(basis, path, dtype, expression, _) -> BasisSaving.prepare program basis path dtype expression
              | _ -> () ]
    let saves =
        [ for effect in program.Effects do
              match effect with
              | Effect.Save(value, path, form, provenance, _) ->
                  { Value = value; Path = path; Types = form.Types; Shard = form.Shard; Provenance = provenance; Stack = None }
              | Effect.Evaluate(_, value, _, _, _) ->
                  { Value = value; Path = "temporary checkpoint for evaluate"; Types = Storage.Kept; Shard = None; Provenance = ""; Stack = None }
              | _ -> () ]
        @ (kept |> List.collect _.Saves)
    let numbers = (program.Effects |> Seq.collect (Gather.needs program) |> List.ofSeq) @ (kept |> List.collect BasisSaving.numbers)
    let waiting = bases.Waiting((saves |> List.map _.Value.Node) @ numbers)
    let measured, others = waiting |> List.partition bases.IsMeasured
    bases.Solve measured
    let names = Dictionary<int, Op>()
    let stand (i: int) =
        match bases.Late i, program.Late[i] with
        | Some op, _ -> Some op
        | None, OfBasis(b, _) ->
            match names.TryGetValue i with
            | true, op -> Some op
            | _ ->
                let tensors = program.SetTensors program.Bases[b].Set
                let op = Given { ByName = Dictionary(tensors |> Seq.map (fun t -> KeyValuePair(t.Name, 1.0))); Extent = Extent.Tensor }
                names[i] <- op
                Some op
        | None, (OfTable _ | OfOutputs _ | OfAngles _ | OfRule _) -> Some(Const 1.0)
    let bind (node: Node) = Passes.bind program.Graph stand node |> work.Traces.Stand
    let isKnown (n: Node) = (Passes.simplify program.Graph (bind n)).Op.IsConst
    // Single numbers of a basis are told by its measuring and need no pass of their own.
    let single (n: Node) =
        match n.Op with
        | Late(i, _) when i >= 0 -> (match program.Late[i] with OfBasis _ | OfAngles _ | OfRule _ -> true | _ -> false)
        | _ -> false
    let rested = bases.Unread((saves |> List.map _.Value.Node) @ numbers)
    let dots = (others |> List.collect (fun b -> program.Bases[b].Gram |> List.concat)) @ rested |> List.filter (isKnown >> not)
    let measuring = if dots.IsEmpty then [] else Batch.plan program bind [] dots
    let rest = Batch.plan program bind saves (numbers |> List.filter (fun n -> not (single n) && not (isKnown n)))
    (measuring @ rest) |> List.filter (fun g -> not g.Saves.IsEmpty || not g.Numbers.IsEmpty) |> List.map _.Planned
