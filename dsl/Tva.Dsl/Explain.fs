/// What `tva plan` prints: from a plan to passes, kernels, bytes and expected time, as text or JSON.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Text
open System.Text.Json
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Plan

/// One kernel of a step.
type KernelSummary =
    { Tensors: int
      Example: string
      Formula: string list
      Instructions: int
      /// Elements sorted for ranks.
      Sorted: int64
      Read: int64
      Written: int64 }

/// One pass over data.
type StepSummary =
    { Reductions: string list
      Kernels: KernelSummary list
      Read: int64
      Written: int64 }

type PlanSummary =
    { Steps: StepSummary list
      Copied: int
      CopiedRead: int64
      CopiedWritten: int64
      Read: int64
      Written: int64
      Outputs: string list
      /// Longer numbers that kernels and other numbers refer to.
      Definitions: string list
      /// Wanted numbers as formulas.
      Numbers: string list }

module Explain =

    let private gib = float (1L <<< 30)

    /// GiB/s per thread, read and written together: an assumption that the text states, not a measurement of this machine.
    let defaultRate = 4.0

    /// Elements sorted for ranks per second and thread, assumed likewise.
    let private sortRate = 2e8

    let private kinds =
        dict
            [ ReduceKind.Sum, "sum"; ReduceKind.SumAbs, "l1"; ReduceKind.Dot, "dot"; ReduceKind.MaxAbs, "max_abs"; ReduceKind.Min, "min"
              ReduceKind.Max, "max"; ReduceKind.CountNonzero, "nonzero"; ReduceKind.KeepLargest, "keep_largest"; ReduceKind.KeepLargestNonzero, "keep_largest of the nonzero"; ReduceKind.Quantile, "quantile" ]

    let private matrixKinds =
        dict
            [ MatrixKind.LowRank, "lowrank"; MatrixKind.KeptEnergy, "lowrank by energy"; MatrixKind.Polar, "polar"
              MatrixKind.SingularMerge, "tsv_merge" ]

    let private bytesRead (plan: ExecutionPlan) (kernel: ClassKernel) (t: PlanTensor) =
        kernel.Inputs |> Seq.sumBy (function
            | :? FileInput as f -> (match t.Sources[f.Source] with null -> 0L | info -> plan.Sources[f.Source].StoredBytes info)
            | _ -> 0L)

    let private bytesWritten (plan: ExecutionPlan) (kernel: ClassKernel) tensor =
        kernel.Files |> Seq.sumBy (fun file ->
            if file < 0 then 0L else plan.Tensors[tensor].Shape.Elements * int64 (plan.Outputs[file].DTypes[tensor].Size()))

    let private ranks (kernel: ClassKernel) = kernel.Inputs |> Seq.choose (function :? RankInput as r -> Some r | _ -> None)

    let summary (p: Planned) : PlanSummary =
        let plan = p.Plan
        let names = Formula.sourceNames plan
        let formulas = Formula.scalars plan
        let scalars = formulas.Texts
        let outputs = plan.Outputs |> Seq.map (fun o -> match Path.GetFileName o.Path with null | "" -> o.Path | name -> name) |> List.ofSeq
        let step s (step: Step) =
            let feeders (kernel: ClassKernel) output =
                [ for r in 0 .. step.Reductions.Count - 1 do
                      let feed = kernel.Feeds[r]
                      if feed.A = output || feed.B = output then $"r{s}.{r}" ]
            let summarize k (kernel: ClassKernel) outputName =
                let members = p.Classes[k].Tensors
                { Tensors = members.Length
                  Example = plan.Tensors[members.Head].Name
                  Formula = Formula.kernel names scalars outputName kernel
                  Instructions = kernel.Program.Instructions.Count + (ranks kernel |> Seq.sumBy _.Program.Instructions.Count)
                  Sorted = int64 (Seq.length (ranks kernel)) * (members |> List.sumBy (fun t -> plan.Tensors[t].Shape.Elements))
                  Read = members |> List.sumBy (fun t -> bytesRead plan kernel plan.Tensors[t])
                  Written = members |> List.sumBy (bytesWritten plan kernel) }
            let kernels =
                [ for k in 0 .. p.Classes.Length - 1 do
                      match step.Kernels[k] with
                      | null -> ()
                      | kernel ->
                          summarize k kernel (fun i -> if kernel.Files[i] >= 0 then outputs[kernel.Files[i]] else String.Join(", ", feeders kernel i))
                  for m in 0 .. step.Matrices.Count - 1 do
                      for k in 0 .. p.Classes.Length - 1 do
                          match step.Matrices[m].Streams[k] with
                          | null -> ()
                          | streams -> for kernel in streams do summarize k kernel (fun _ -> $"m{s}.{m}") ]
            { Reductions =
                [ for i in 0 .. step.Reductions.Count - 1 do
                      let r = step.Reductions[i]
                      let argument = if r.Argument < 0 then "" else $" at {scalars[r.Argument]}"
                      $"r{s}.{i} = {kinds[r.Kind]}{argument} by {(string r.Extent).ToLowerInvariant()}"
                  for i in 0 .. step.Matrices.Count - 1 do
                      let m = step.Matrices[i]
                      let argument = if m.Argument < 0 then "" else $" at {scalars[m.Argument]}"
                      $"m{s}.{i} = {matrixKinds[m.Kind]}{argument} of whole matrices" ]
              Kernels = kernels
              Read = kernels |> List.sumBy _.Read
              Written = kernels |> List.sumBy _.Written }
        let steps = plan.Steps |> Seq.mapi step |> List.ofSeq
        let copied = plan.Tensors |> Seq.indexed |> Seq.filter (fun (_, t) -> t.Class < 0) |> List.ofSeq
        let copiedRead = copied |> List.sumBy (fun (_, t) -> t.Sources |> Seq.sumBy (function null -> 0L | info -> info.Bytes))
        let copiedWritten =
            copied |> List.sumBy (fun (i, t) -> plan.Outputs |> Seq.sumBy (fun o -> t.Shape.Elements * int64 (o.DTypes[i].Size())))
        { Steps = steps
          Copied = copied.Length
          CopiedRead = copiedRead
          CopiedWritten = copiedWritten
          Read = copiedRead + (steps |> List.sumBy _.Read)
          Written = copiedWritten + (steps |> List.sumBy _.Written)
          Outputs = [ for o in plan.Outputs -> o.Path ]
          Definitions = formulas.Definitions
          Numbers =
            [ for s in p.Scalars ->
                  match s with
                  | ScalarResult.Known v -> Formula.number v
                  | ScalarResult.Result i -> formulas.Bare[plan.Results[i]] ] }

    let private size (bytes: int64) =
        let exact = bytes.ToString("N0", CultureInfo.InvariantCulture)
        if bytes < 1024L then $"{exact} bytes" else $"{exact} bytes ({Sizes.Text bytes})"

    let private seconds rate threads (s: PlanSummary) =
        let sorted = s.Steps |> List.sumBy (fun step -> step.Kernels |> List.sumBy _.Sorted)
        (float (s.Read + s.Written) / (rate * gib) + float sorted / sortRate) / float threads

    let private time (s: float) =
        let f (v: float) = v.ToString("0.#", CultureInfo.InvariantCulture)
        if s < 0.001 then "under a millisecond" elif s < 1.0 then f (s * 1e3) + " ms" else f s + " s"

    let private count n (noun: string) = if n = 1 then $"1 {noun}" else $"{n} {noun}s"

    /// The plan as text, with the time expected at so many GiB/s per thread.
    let planAt (rate: float) (threads: int) (p: Planned) =
        let s = summary p
        let b = StringBuilder()
        let line (indent: int) (text: string) = b.Append(' ', indent * 2).AppendLine(text) |> ignore
        line 0 "passes"
        for r in p.Passes do
            line 1 $"{r.Pass}: {r.Before} nodes to {r.After}"
            for name, n in r.Fired do
                line 2 $"{name}: {n}"
        if not s.Definitions.IsEmpty then
            line 0 "numbers"
            s.Definitions |> List.iter (line 1)
        let sorted (k: KernelSummary) = if k.Sorted = 0L then "" else $""", sorts {k.Sorted.ToString("N0", CultureInfo.InvariantCulture)} elements"""
        s.Steps |> List.iteri (fun i step ->
            line 0 $"step {i + 1} of {s.Steps.Length}: reads {size step.Read}, writes {size step.Written}"
            for r in step.Reductions do
                line 1 r
            for k in step.Kernels do
                line 1 $"""{count k.Tensors "tensor"} such as {k.Example}: {count k.Instructions "instruction"}, reads {size k.Read}, writes {size k.Written}{sorted k}"""
                for f in k.Formula do
                    line 2 f)
        if s.Copied > 0 then
            line 0 $"""copied as they are: {count s.Copied "tensor"}, reads {size s.CopiedRead}, writes {size s.CopiedWritten}"""
        for n in s.Numbers do
            line 0 $"number: {n}"
        line 0 $"reads {size s.Read}, writes {size s.Written} in all"
        if p.Plan.Steps |> Seq.exists (fun s -> s.Reductions |> Seq.exists (fun r -> r.Kind = ReduceKind.KeepLargest || r.Kind = ReduceKind.KeepLargestNonzero || r.Kind = ReduceKind.Quantile)) then
            line 0 "a selection (keep_largest, quantile) may read its step's input again"
        let sorts = if s.Steps |> List.exists (fun step -> step.Kernels |> List.exists (fun k -> k.Sorted > 0L)) then $", {Formula.number (sortRate / 1e6)} million elements sorted/s" else ""
        line 0 $"""expected time: {time (seconds rate threads s)}, at {Formula.number rate} GiB/s{sorts} per thread and {count threads "thread"}"""
        b.ToString()

    /// The plan as text at the default rate on all cores.
    let plan (p: Planned) = planAt defaultRate Environment.ProcessorCount p

    let private write (w: Utf8JsonWriter) (rate: float) threads (where: string list) (p: Planned) =
        let s = summary p
        let list (name: string) (items: 'a seq) (one: 'a -> unit) =
            w.WriteStartArray name
            Seq.iter one items
            w.WriteEndArray()
        let bytes (read: int64) (written: int64) =
            w.WriteNumber("read", read)
            w.WriteNumber("written", written)
        w.WriteStartObject()
        list "passes" p.Passes (fun r ->
            w.WriteStartObject()
            w.WriteString("pass", r.Pass)
            w.WriteNumber("before", r.Before)
            w.WriteNumber("after", r.After)
            w.WriteStartObject "rules"
            for name, n in r.Fired do
                w.WriteNumber(name, n)
            w.WriteEndObject()
            w.WriteEndObject())
        list "definitions" s.Definitions w.WriteStringValue
        list "steps" s.Steps (fun step ->
            w.WriteStartObject()
            list "reductions" step.Reductions w.WriteStringValue
            list "kernels" step.Kernels (fun k ->
                w.WriteStartObject()
                w.WriteNumber("tensors", k.Tensors)
                w.WriteString("example", k.Example)
                list "formula" k.Formula w.WriteStringValue
                w.WriteNumber("instructions", k.Instructions)
                w.WriteNumber("sorted", k.Sorted)
                bytes k.Read k.Written
                w.WriteEndObject())
            bytes step.Read step.Written
            w.WriteEndObject())
        w.WriteStartObject "copied"
        w.WriteNumber("tensors", s.Copied)
        bytes s.CopiedRead s.CopiedWritten
        w.WriteEndObject()
        list "numbers" s.Numbers w.WriteStringValue
        list "outputs" s.Outputs w.WriteStringValue
        bytes s.Read s.Written
        w.WriteNumber("gibibytesPerSecondPerThread", rate)
        w.WriteNumber("threads", (threads: int))
        w.WriteNumber("expectedSeconds", seconds rate threads s)
        if not where.IsEmpty then
            list "device" where w.WriteStringValue
        w.WriteEndObject()

    let jsonAt (rate: float) (threads: int) (where: string list) (p: Planned) =
        use stream = new MemoryStream()
        do
            use w = new Utf8JsonWriter(stream, JsonWriterOptions(Indented = false))
            write w rate threads where p
        Encoding.UTF8.GetString(stream.ToArray())

    /// The same as JSON at the default rate on all cores, with what is told of the device.
    let json (where: string list) (p: Planned) = jsonAt defaultRate Environment.ProcessorCount where p
