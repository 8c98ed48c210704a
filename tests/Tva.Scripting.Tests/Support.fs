/// Texts with F# in them, checked and run; one evaluator per text, since a compiler that has run once starts quickly.
module Tva.Scripting.Tests.Support

open System
open System.Threading
open Tva.Core.Kernels
open Tva.Dsl
open Tva.Dsl.Typing
open Tva.Scripting
open Xunit
open Tva.Dsl.Tests.Scripts

let options =
    { EvaluatorOptions.Default with
        Permissions = { Run = false; FSharp = true }
        FSharp = Some FSharpHosts.create }

let heading =
    "base = model(\"zoo/base.safetensors\")\n"
    + "tasks = family(\"zoo/tasks/*.safetensors\", base)\n"
    + "A = tasks.digits\nB = tasks.letters\n"

let runText (text: string) = runWith options examples text

let private described (d: Diagnostic) = $"{d.Code} {d.Message}"

/// What the text shows.
let shown (text: string) : Shown list =
    let ran = runText text
    Assert.Empty(ran.Diagnostics |> List.map described)
    ran.Events |> List.collect (function Event.Shown(_, items) -> items | _ -> [])

/// What its expression shows.
let value (expression: string) = shown $"print({expression})" |> List.exactlyOne

/// The findings in a text, each with the characters it is about.
let mistakes (text: string) : (Diagnostic * string) list =
    use e = new Evaluator(options)
    let found = e.Check("test.tva", examples, text)
    [ for d in found -> d, text.Substring(d.Span.Start, d.Span.End - d.Span.Start) ]

let mistake (text: string) = mistakes text |> List.exactlyOne

let private plain (i: Instruction) = Instruction(i.Code, i.A, i.B, i.C, i.Index, i.Value, 0)

/// All kernels that a text becomes, without where they come from.
let kernels (text: string) =
    use e = new Evaluator(options)
    let found = e.Check("test.tva", examples, heading + text)
    Assert.Empty(found |> List.map described)
    [ for p in e.Plans() do
          for step in p.Plan.Steps do
              for k in step.Kernels do
                  match k with
                  | null -> ()
                  | k -> KernelProgram(k.Program.Instructions |> Seq.map plain |> Array.ofSeq, k.Program.Inputs, k.Program.Outputs, k.Program.Parameters) ]

/// Stops F# once it runs: `Mark` stands in front of what loops for ever, `Since` tells how long ago the stop was.
let stopWhenRunning (stop: CancellationTokenSource) =
    let file = System.IO.Path.GetTempFileName()
    let watch = Diagnostics.Stopwatch()
    System.IO.File.Delete file
    let wait () =
        while not (System.IO.File.Exists file) do
            Thread.Sleep 10
        System.IO.File.Delete file
        watch.Start()
        stop.Cancel()
    Thread(wait, IsBackground = true).Start()
    {| Mark = $"IO.File.WriteAllText(@\"{file}\", \"\")"; Since = fun () -> watch.Elapsed |}
