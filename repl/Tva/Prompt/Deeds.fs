/// What each command of the prompt does: a session and the command's argument come in; true goes out where the prompt goes on.
module Tva.Prompt.Deeds

open System
open System.Diagnostics
open System.IO
open System.Runtime.Intrinsics
open Tva
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Services

let private say (s: Session) (text: string) = s.Say text

/// Checks an expression for its own sake and takes it back.
let private check (s: Session) (text: string) (work: Report -> unit) =
    s.Guard(fun report cancel ->
        let e = s.Evaluator
        e.Watch((fun event -> report.Event event), cancel)
        try
            if s.Check(report, "<prompt>", s.Host.Folder, text) then
                work report
                Ended.Done
            else
                Ended.Wrong
        finally
            e.Forget())
    |> ignore

let plan (s: Session) (text: string) =
    // An expression that is a model is only described; its plan is that of writing it.
    let isTensor =
        match s.Service.TypeOf(s.Host.Folder, text) with
        | Ok t -> t.StartsWith "Model" || t.StartsWith "Delta"
        | Result.Error _ -> false
    let target = Path.Combine(Path.GetTempPath(), "plan.safetensors").Replace('\\', '/')
    let asked = if isTensor then $"({text}\n) |> save(\"{target}\")" else text
    check s asked (fun _ ->
        if isTensor then
            say s "as it would be saved:"
        let explained = s.Evaluator.Explain()
        say s (if explained = "" then "nothing is computed: what is asked for is known" else explained))
    true

let typeOf (s: Session) (text: string) =
    s.Guard(fun report _ ->
        match s.Service.TypeOf(s.Host.Folder, text) with
        | Ok t ->
            report.Result t
            Ended.Done
        | Result.Error [] ->
            report.Fault "that is no expression; only one of those has a type"
            Ended.Wrong
        | Result.Error found ->
            // The text is gone from the evaluator by now, so it is shown as a text of its own.
            let source = { Number = (found |> List.map _.Span.Source |> List.max); Name = "<type>"; Folder = s.Host.Folder; Text = text }
            report.Findings([ source ], found, false) |> ignore
            Ended.Wrong)
    |> ignore
    true

let time (s: Session) (text: string) =
    let watch = Stopwatch.StartNew()
    let mutable read, written, passes = 0L, 0L, 0
    let ended =
        s.Run("<prompt>", s.Host.Folder, text, fun r w ->
            read <- read + r
            written <- written + w
            passes <- passes + 1)
    if ended = Ended.Done then
        let took = watch.Elapsed
        let moved = read + written
        let rate = if moved > 0L then $", {Sizes.Text(int64 (float moved / took.TotalSeconds))}/s" else ""
        let count = if passes = 1 then "1 pass" else $"{passes} passes"
        say s $"{Format.time took}: {count}, read {Sizes.Text read}, written {Sizes.Text written}{rate}"
    true

let inspect (s: Session) (path: string) =
    s.Guard(fun report _ ->
        Inspect.run s.Host report s.Options (path.Trim('"')) false |> ignore
        Ended.Done)
    |> ignore
    true

let load (s: Session) (path: string) =
    let path = path.Trim('"')
    let mutable script: Script option = None
    s.Guard(fun _ _ ->
        script <- Some(Script.ofFile s.Host path)
        Ended.Done)
    |> ignore
    match script with
    | Some script -> s.Run(script.Name, script.Folder, script.Text, fun _ _ -> ()) |> ignore
    | None -> ()
    true

let set (s: Session) (text: string) =
    let e = s.Evaluator
    match text.Split([| ' '; '=' |], StringSplitOptions.RemoveEmptyEntries) with
    | [| "memory"; size |] ->
        match Arguments.trySize size with
        | Ok n ->
            e.Settings <- { e.Settings with Memory = n }
            say s $"memory {Sizes.Text n}"
        | Result.Error message -> s.Host.Say $"tva: {message}"
    | [| "threads"; n |] ->
        match Int32.TryParse n with
        | true, n when n >= 1 && n <= 4096 ->
            e.Settings <- { e.Settings with Threads = n }
            say s $"threads {n}"
        | _ -> s.Host.Say $"tva: {n} is not a number of threads from 1 to 4096"
    | [||] -> say s $"memory {Sizes.Text e.Settings.Memory}\nthreads {e.Settings.Threads}"
    | _ -> s.Host.Say "tva: what can be set is memory (:set memory 1GiB) and threads (:set threads 4)"
    true

let private processor (s: Session) =
    let bits, name =
        if Vector512.IsHardwareAccelerated then 512, "AVX-512"
        elif Vector256.IsHardwareAccelerated then 256, "AVX2"
        elif Vector128.IsHardwareAccelerated then 128, (if Arm.AdvSimd.IsSupported then "NEON" else "SSE")
        else 0, "none"
    let settings = s.Evaluator.Settings
    let vectors = if bits = 0 then "no vectors" else $"{bits}-bit vectors ({name})"
    let pinned = s.Evaluator.PinnedBytes
    let pins = if pinned > 0L then $", {Sizes.Text pinned} of it pinned" else ""
    $"cpu: {vectors}, {settings.Threads} threads, memory {Sizes.Text settings.Memory}{pins}"

/// Alone it tells where things are computed; with a name they are from now on.
let device (s: Session) (name: string) =
    let e = s.Evaluator
    let tell () =
        let choice = e.Settings.Choice
        [ match choice.Named with
          | null -> if choice.IsAuto then "auto: the cpu, or a graphics card that is worth the transfer"
          | d -> yield! Devices.lines " " d
          processor s ]
        |> fun text -> say s (String.Join("\n", text))
    s.Guard(fun _ _ ->
        if name <> "" then
            let settings = { e.Settings with Device = name }
            settings.Choice.Named |> ignore
            e.Settings <- settings
        tell ()
        Ended.Done)
    |> ignore
    true

/// Goes over to F#, and back where that is the language already; with a text, does that one and stays.
let fsharp (s: Session) (text: string) =
    if text <> "" then s.FSharp.Value.Run text
    elif s.Language = Language.FSharp then s.Language <- Language.Tva
    else
        s.Language <- Language.FSharp
        // Nobody waits for it before the first text is there.
        s.FSharp.Value.Prepare()
        let renamed = String.Join("", [ for name, other in s.FSharp.Value.Renamed -> $" ({name} is {other})" ])
        s.Host.Say $"F# with the session's names{renamed}; an empty line or ;; ends a block, :tva goes back"
    true

let tva (s: Session) (_: string) =
    s.Language <- Language.Tva
    true

let pin (s: Session) (text: string) =
    s.Guard(fun report cancel ->
        s.Evaluator.Watch((fun event -> report.Event event), cancel)
        match s.Evaluator.Pin(s.Host.Folder, text, (fun event -> report.Event event), cancel) with
        | Ok pinned ->
            report.Result(String.Join("\n", pinned))
            Ended.Done
        | Result.Error [] ->
            report.Fault "that is no expression; name what is to be pinned"
            Ended.Wrong
        | Result.Error found ->
            report.Findings(s.Evaluator.Texts, found, false) |> ignore
            Ended.Wrong)
    |> ignore
    true

let unpin (s: Session) (_: string) =
    s.Evaluator.Unpin()
    true

let ops (s: Session) (name: string) =
    s.Guard(fun report _ ->
        Ops.run report ":help NAME" (if name = "" then None else Some name) |> ignore
        Ended.Done)
    |> ignore
    true
