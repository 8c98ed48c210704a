/// Runs texts through the evaluator for tests: what they show, save and how they end.
module Tva.Dsl.Tests.Scripts

open System
open System.Collections.Generic
open System.IO
open System.Threading
open Tva.Dsl
open Tva.Dsl.Typing

/// The repository's root, found upwards from the test program.
let root =
    let rec up (dir: string) =
        if File.Exists(Path.Combine(dir, "Dsl.sln")) then dir
        else
            match Path.GetDirectoryName dir with
            | null -> failwith "the tests run outside the repository"
            | parent -> up parent
    up AppContext.BaseDirectory

let examples = Path.Combine(root, "examples")
let golden = Path.Combine(root, "tests", "golden")

/// A folder of a test's own, gone when disposed.
type TempFolder() =
    let path = Directory.CreateTempSubdirectory("tva-test-").FullName
    member _.Path = path
    member _.File(name: string) = Path.Combine(path, name)
    interface IDisposable with
        member _.Dispose() = Directory.Delete(path, true)

type Ran =
    { Diagnostics: Diagnostic list
      Events: Event list
      Outcome: Outcome option }

let optionsOf settings = { EvaluatorOptions.Default with Run = settings }

/// Checks and, if nothing is wrong, runs a text.
let runWith (options: EvaluatorOptions) (folder: string) (text: string) =
    use e = new Evaluator(options)
    let found = e.Check("test.tva", folder, text)
    if found |> List.exists (fun d -> d.Severity = Severity.Error) then
        { Diagnostics = found; Events = []; Outcome = None }
    else
        let events = List<Event>()
        let outcome = e.Run((fun ev -> lock events (fun () -> events.Add ev)), CancellationToken.None)
        { Diagnostics = found; Events = List.ofSeq events; Outcome = Some outcome }

let run folder text = runWith EvaluatorOptions.Default folder text

/// What the text's last expression shows, which must be a number.
let number folder text =
    let ran = run folder text
    if not ran.Diagnostics.IsEmpty then
        failwith (String.Join("; ", ran.Diagnostics |> List.map _.Message))
    ran.Events
    |> List.choose (function
        | Event.Shown(_, [ Shown.Number v ]) -> Some v
        | _ -> None)
    |> List.last

/// All tensors of a checkpoint as numbers.
let load = Tva.Tests.Golden.load
