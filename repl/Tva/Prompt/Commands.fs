/// What begins with a colon: from its words to what is done; each command is one row of a table that help and completion read.
module Tva.Prompt.Commands

open System
open System.Diagnostics
open System.IO
open System.Runtime.Intrinsics
open Tva
open Tva.Core
open Tva.Dsl
open Tva.Dsl.Services

/// What a command's argument is, for completion.
[<RequireQualifiedAccess>]
type Takes =
    | Nothing
    | Expression
    | Function
    | Path of extensions: string list
    | Setting

type Command =
    { Name: string
      Argument: string
      Takes: Takes
      Does: string
      /// False: the prompt is left.
      Run: Session -> string -> bool }

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

let private needs (what: string) (s: Session) (name: string) =
    s.Host.Say $"tva: :{name} takes {what}"
    true

let private plan (s: Session) (text: string) =
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

let private typeOf (s: Session) (text: string) =
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

let private time (s: Session) (text: string) =
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
        let rate = if moved > 0L then $", {Format.bytes (float moved / took.TotalSeconds)}/s" else ""
        let count = if passes = 1 then "1 pass" else $"{passes} passes"
        say s $"{Format.time took}: {count}, read {Format.bytes (float read)}, written {Format.bytes (float written)}{rate}"
    true

let private inspect (s: Session) (path: string) =
    s.Guard(fun report _ ->
        Inspect.run s.Host report s.Options (path.Trim('"')) false |> ignore
        Ended.Done)
    |> ignore
    true

let private load (s: Session) (path: string) =
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

let private set (s: Session) (text: string) =
    let e = s.Evaluator
    match text.Split([| ' '; '=' |], StringSplitOptions.RemoveEmptyEntries) with
    | [| "memory"; size |] ->
        match Arguments.trySize size with
        | Ok n ->
            e.Settings <- { e.Settings with Memory = n }
            say s $"memory {Tensors.Sizes.Text n}"
        | Result.Error message -> s.Host.Say $"tva: {message}"
    | [| "threads"; n |] ->
        match Int32.TryParse n with
        | true, n when n >= 1 && n <= 4096 ->
            e.Settings <- { e.Settings with Threads = n }
            say s $"threads {n}"
        | _ -> s.Host.Say $"tva: {n} is not a number of threads from 1 to 4096"
    | [||] -> say s $"memory {Tensors.Sizes.Text e.Settings.Memory}\nthreads {e.Settings.Threads}"
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
    let pins = if pinned > 0L then $", {Tensors.Sizes.Text pinned} of it pinned" else ""
    $"cpu: {vectors}, {settings.Threads} threads, memory {Tensors.Sizes.Text settings.Memory}{pins}"

/// Alone it tells where things are computed; with a name they are from now on.
let private device (s: Session) (name: string) =
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

/// The one place where the F# prompt comes in: it is given the session and comes back from it.
let private fsharp (s: Session) (_: string) =
    s.Host.Say "tva: a prompt of F#'s own is not in this build; `fs \"...\"` works in any line"
    true

let private pin (s: Session) (text: string) =
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

let private unpin (s: Session) (_: string) =
    s.Evaluator.Unpin()
    true

let private ops (s: Session) (name: string) =
    s.Guard(fun report _ ->
        Ops.run report (if name = "" then None else Some name) |> ignore
        Ended.Done)
    |> ignore
    true

let private keys =
    [ "Tab", "completes; again, walks through the choices"
      "Alt-h", "says what the name or call at the cursor is"
      "Up, Down", "earlier texts that begin like what stands before the cursor"
      "Ctrl-R", "searches the earlier texts"
      "Alt-Enter", "another line; Enter does so too while a bracket is open"
      "Ctrl-A, Ctrl-E, Alt-b, Alt-f", "line begin and end, a word back and forth"
      "Ctrl-K, Ctrl-U, Ctrl-W, Ctrl-Y", "cut to the line's end, to its begin, a word; put back"
      "Ctrl-Z", "takes the last change back"
      "Ctrl-C", "stops what is running; clears the line"
      "Ctrl-D", "leaves" ]

let rec private help (s: Session) (name: string) =
    if name <> "" then ops s name
    else
        let rows (items: (string * string) list) =
            let width = items |> List.map (fun (n, _) -> n.Length) |> List.max
            items |> List.map (fun (n, text) -> "  " + n.PadRight width + "  " + text)
        say s
            (String.Join(
                "\n",
                [ "A text of the language is run when it is whole; its value is kept in `it`. :help NAME tells about a function."
                  ""
                  yield! rows [ for c in all () -> $":{c.Name} {c.Argument}".TrimEnd(), c.Does ]
                  ""
                  yield! rows keys ]
            ))
        true

/// All commands, in the order of the help.
and all () : Command list =
    let row name argument takes does run = { Name = name; Argument = argument; Takes = takes; Does = does; Run = run }
    let withArgument name what run = fun s (text: string) -> if text = "" then needs what s name else run s text
    [ row "help" "[NAME]" Takes.Function "this, or all about a function: formula, paper, example" help
      row "ops" "" Takes.Nothing "lists the functions" (fun s _ -> ops s "")
      row "type" "EXPR" Takes.Expression "what an expression is; computes nothing" (withArgument "type" "an expression" typeOf)
      row "plan" "EXPR" Takes.Expression "what would be done: passes, kernels, bytes" (withArgument "plan" "an expression" plan)
      row "time" "TEXT" Takes.Expression "runs it and tells time and bytes" (withArgument "time" "a text to run" time)
      row "inspect" "PATH" (Takes.Path [ ".safetensors"; ".pt"; ".pth"; ".bin"; ".json" ]) "lists a checkpoint's tensors"
          (withArgument "inspect" "a checkpoint's path" inspect)
      row "pin" "EXPR" Takes.Expression "keeps the checkpoints it reads in memory" (withArgument "pin" "an expression over checkpoints" pin)
      row "unpin" "" Takes.Nothing "lets go of all that is pinned" unpin
      row "load" "FILE" (Takes.Path [ ".tva" ]) "runs a script; its names stay" (withArgument "load" "a script's path" load)
      row "save" "FILE" (Takes.Path [ ".tva" ]) "writes what has been done so far as a script"
          (withArgument "save" "a path for the script" (fun s path -> Saving.save s path; true))
      row "set" "[memory SIZE]" Takes.Setting "bound on memory, number of threads; alone, tells them" set
      row "device" "[NAME]" Takes.Nothing "where things are computed; with a name, from now on there: cpu, gpu, auto or one of tva device" device
      row "fs" "" Takes.Nothing "F# with the session's names" fsharp
      row "quit" "" Takes.Nothing "leaves" (fun _ _ -> false) ]

/// The command's name and what follows it.
let split (text: string) =
    let text = text.Trim().Substring 1
    match text.IndexOfAny [| ' '; '\t'; '\n' |] with
    | -1 -> text, ""
    | i -> text.Substring(0, i), text.Substring(i).Trim()

let isCommand (text: string) = text.TrimStart().StartsWith ':'

/// False where the prompt is to be left.
let run (s: Session) (text: string) : bool =
    let name, argument = split text
    let commands = all ()
    match commands |> List.tryFind (fun c -> c.Name = name || (name = "q" && c.Name = "quit")) with
    | Some c -> c.Run s argument
    | None ->
        let near =
            match Suggest.nearest name (commands |> List.map _.Name) with
            | Some n -> $"did you mean :{n}?"
            | None -> ":help lists them"
        s.Host.Say $"tva: there is no command :{name}; {near}"
        true

/// Completions in a text that begins with a colon.
let complete (s: Session) (text: string) (offset: int) : Completion =
    let start = text.IndexOf ':' + 1
    let space = text.IndexOfAny([| ' '; '\t' |], start)
    if space < 0 || offset <= space then
        let word = text.Substring(start, max 0 (offset - start))
        let fits = all () |> List.filter (fun c -> c.Name.StartsWith word)
        { Start = start
          End = max offset (if space < 0 then text.Length else space)
          Candidates = [ for c in fits -> { Text = c.Name; Kind = CandidateKind.Keyword; Detail = $"{c.Argument}  {c.Does}".Trim() } ] }
    else
        let name = text.Substring(start, space - start)
        let from = space + 1
        let written = text.Substring(from, offset - from)
        let shifted (c: Completion) = { c with Start = c.Start + from; End = c.End + from }
        match all () |> List.tryFind (fun c -> c.Name = name) with
        | Some { Takes = Takes.Expression } -> shifted (s.Service.Complete(s.Host.Folder, text.Substring from, offset - from))
        | Some { Takes = Takes.Function } ->
            let found = Help.entries.Value |> List.filter (fun e -> e.Name.StartsWith(written.Trim()))
            { Start = from
              End = offset
              Candidates = [ for e in found -> { Text = e.Name; Kind = CandidateKind.Function; Detail = e.Signature } ] }
        | Some { Takes = Takes.Path extensions } ->
            { Start = from; End = offset; Candidates = s.Service.Paths(s.Host.Folder, written, extensions) }
        | Some { Takes = Takes.Setting } ->
            { Start = from
              End = offset
              Candidates = [ for n in [ "memory "; "threads " ] do if n.StartsWith written then { Text = n; Kind = CandidateKind.Option; Detail = "" } ] }
        | _ -> Completion.None
