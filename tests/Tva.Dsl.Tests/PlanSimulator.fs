/// Runs a plan in float64, element by element, the way its records say; no code of the planner or the engine is used.
module Tva.Dsl.Tests.PlanSimulator

open System
open System.Collections.Generic
open Tva.Core.Execution
open Tva.Core.Kernels
open Tva.Core.Ops
open Tva.Dsl.Tests.GraphSupport

type Simulated =
    { /// By output, by plan tensor.
      Outputs: float[][][]
      /// By result, by plan tensor.
      Results: float[][] }

/// `values` gives a plan source's tensor by name.
let simulate (plan: ExecutionPlan) (values: int -> string -> float[]) : Simulated =
    let tensors = plan.Tensors |> Array.ofSeq
    let count = tensors.Length
    let outputs = Array.init plan.Outputs.Count (fun _ -> Array.create count [||])
    let reduced = Dictionary<struct (int * int), float[]>()
    let kept = Dictionary<struct (int * int), bool[][]>()
    let rec scalar (i: int) (t: int) : float =
        match plan.Scalars[i] with
        | :? StaticScalar as s -> if s.Extent = Extent.All then s.Values[0] else s.Values[t]
        | :? ReducedScalar as r -> reduced[struct (r.Step, r.Reduction)][t]
        | :? ComputedScalar as c ->
            let arg o = if o < 0 then 0.0 else scalar o t
            OpTable.All[c.Op].Host.Invoke(arg c.A, arg c.B, arg c.C)
        | :? LoopScalar as l ->
            let state = l.Loop.Starts |> Seq.map (fun s -> scalar s t) |> Array.ofSeq
            for _ in 1 .. l.Loop.Rounds do
                let r = Array.create l.Loop.Registers nan
                Array.blit state 0 r 0 state.Length
                for i in l.Loop.Inputs do
                    r[i.Register] <- scalar i.Scalar t
                for s in l.Loop.Steps do
                    let arg o = if o < 0 then 0.0 else r[o]
                    r[s.Target] <- OpTable.All[s.Op].Host.Invoke(arg s.A, arg s.B, arg s.C)
                l.Loop.Next |> Seq.iteri (fun i register -> state[i] <- r[register])
            state[l.State]
        | s -> failwith $"{s}"
    let execute (program: KernelProgram) (parameters: IReadOnlyList<ParameterBinding>) (inputs: IReadOnlyList<float[]>) (t: int) =
        let n = int tensors[t].Shape.Elements
        let streams = Array.init program.Outputs.Count (fun _ -> Array.zeroCreate<float> n)
        let code = program.Instructions
        let v = Array.zeroCreate<float> code.Count
        for e in 0 .. n - 1 do
            for i in 0 .. code.Count - 1 do
                let c = code[i]
                // Operands must be earlier and values of their own.
                for o in [ c.A; c.B; c.C ] do
                    if o >= i || (o >= 0 && (code[o].Code = Code.Store || code[o].Code = Code.Guard)) then
                        failwith $"instruction {i} uses {o}"
                v[i] <-
                    match c.Code with
                    | Code.Load -> inputs[c.Index][e]
                    | Code.Const -> float c.Value
                    | Code.Param -> (match parameters[c.Index] with :? ScalarParameter as p -> scalar p.Scalar t | p -> failwith $"{p}")
                    | Code.Apply ->
                        let arg o = if o < 0 then 0.0 else v[o]
                        OpTable.All[c.Index].Host.Invoke(arg c.A, arg c.B, arg c.C)
                    | Code.Keep ->
                        match parameters[c.Index] with
                        | :? KeepParameter as k -> if (kept[struct (k.Step, k.Reduction)]).[t].[e] then v[c.A] else 0.0
                        | p -> failwith $"{p}"
                    | Code.Store ->
                        streams[c.Index][e] <- v[c.A]
                        nan
                    | _ -> nan
        streams
    let run (kernel: ClassKernel) (t: int) =
        let n = int tensors[t].Shape.Elements
        let inputs = List<float[]>()
        for b in kernel.Inputs do
            match b with
            | :? FileInput as f -> inputs.Add(values f.Source tensors[t].Name)
            | :? RandomInput as r -> (let seed = scalar r.Seed t in inputs.Add(Array.init n (uniform seed (r.NameOf tensors[t].Name))))
            | :? RankInput as r when r.Extent = Extent.Tensor ->
                inputs.Add(rank (execute r.Program r.Parameters [| for i in r.Inputs -> inputs[i] |] t).[0])
            | b -> failwith $"{b}"
        execute kernel.Program kernel.Parameters inputs t
    for s in 0 .. plan.Steps.Count - 1 do
        let step = plan.Steps[s]
        let streams =
            [| for t in 0 .. count - 1 ->
                   if tensors[t].Class < 0 then None
                   else
                       match step.Kernels[tensors[t].Class] with
                       | null -> None
                       | kernel ->
                           let streams = run kernel t
                           kernel.Files |> Seq.iteri (fun o file -> if file >= 0 then outputs[file][t] <- streams[o])
                           Some(kernel, streams) |]
        for r in 0 .. step.Reductions.Count - 1 do
            let reduction = step.Reductions[r]
            let stream (pick: ReductionFeed -> int) t =
                match streams[t] with
                | Some(kernel, outs) when kernel.Feeds[r].A >= 0 -> outs[pick kernel.Feeds[r]]
                | _ -> Array.zeroCreate (int tensors[t].Shape.Elements)
            let members t =
                [ for u in 0 .. count - 1 do
                      if tensors[u].Class >= 0 then
                          match reduction.Extent with
                          | Extent.All -> u
                          | Extent.Layer -> if tensors[u].Layer = tensors[t].Layer then u
                          | _ -> if u = t then u ]
            let value (ts: int list) =
                let a = [ for u in ts do yield! stream _.A u ]
                match reduction.Kind with
                | ReduceKind.Sum -> List.sum a
                | ReduceKind.SumAbs -> List.sumBy abs a
                | ReduceKind.Dot -> List.fold2 (fun s x y -> s + x * y) 0.0 a [ for u in ts do yield! (match streams[u] with Some(k, outs) when k.Feeds[r].A >= 0 -> outs[k.Feeds[r].B] | _ -> stream _.A u) ]
                | ReduceKind.MaxAbs -> a |> List.map abs |> List.fold max 0.0
                | ReduceKind.Min -> List.min a
                | ReduceKind.Max -> List.max a
                | ReduceKind.CountNonzero -> a |> List.filter ((<>) 0.0) |> List.length |> float
                | _ -> 0.0
            reduced[struct (s, r)] <- [| for t in 0 .. count - 1 -> if tensors[t].Class < 0 then nan else value (members t) |]
            if reduction.Kind = ReduceKind.KeepLargest then
                kept[struct (s, r)] <-
                    [| for t in 0 .. count - 1 ->
                           let ts = members t
                           let flags = largest (scalar reduction.Argument t) [ for u in ts do yield! stream _.A u ]
                           let start = ts |> List.takeWhile ((<>) t) |> List.sumBy (fun u -> int tensors[u].Shape.Elements)
                           flags |> List.skip start |> List.truncate (int tensors[t].Shape.Elements) |> Array.ofList |]
    { Outputs = outputs
      Results = [| for i in plan.Results -> [| for t in 0 .. count - 1 -> scalar i t |] |] }
