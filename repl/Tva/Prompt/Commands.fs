/// What begins with a colon: from its words to what is done; each command is one row of a table that help and completion read.
module Tva.Prompt.Commands

open System
open Tva
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
    | FSharp

type Command =
    { Name: string
      Argument: string
      Takes: Takes
      Does: string
      /// False: the prompt is left.
      Run: Session -> string -> bool }

let private needs (what: string) (s: Session) (name: string) =
    s.Host.Say $"tva: :{name} takes {what}"
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
      "Ctrl-D", "leaves F#; leaves" ]

let rec private help (s: Session) (name: string) =
    if name <> "" then Deeds.ops s name
    else
        let rows (items: (string * string) list) =
            let width = items |> List.map (fun (n, _) -> n.Length) |> List.max
            items |> List.map (fun (n, text) -> "  " + n.PadRight width + "  " + text)
        [ "A text of the language is run when it is whole; its value is kept in `it`. :help NAME tells about a function."
          ""
          yield! rows [ for c in all () -> $":{c.Name} {c.Argument}".TrimEnd(), c.Does ]
          ""
          yield! rows keys ]
        |> fun lines -> s.Say(String.Join("\n", lines))
        true

/// All commands, in the order of the help.
and all () : Command list =
    let row name argument takes does run = { Name = name; Argument = argument; Takes = takes; Does = does; Run = run }
    let withArgument name what run = fun s (text: string) -> if text = "" then needs what s name else run s text
    [ row "help" "[NAME]" Takes.Function "this, or all about a function: formula, paper, example" help
      row "ops" "" Takes.Nothing "lists the functions" (fun s _ -> Deeds.ops s "")
      row "type" "EXPR" Takes.Expression "what an expression is; computes nothing" (withArgument "type" "an expression" Deeds.typeOf)
      row "plan" "EXPR" Takes.Expression "what would be done: passes, kernels, bytes" (withArgument "plan" "an expression" Deeds.plan)
      row "time" "TEXT" Takes.Expression "runs it and tells time and bytes" (withArgument "time" "a text to run" Deeds.time)
      row "inspect" "PATH" (Takes.Path [ ".safetensors"; ".pt"; ".pth"; ".bin"; ".gguf"; ".json" ]) "lists a checkpoint's tensors"
          (withArgument "inspect" "a checkpoint's path" Deeds.inspect)
      row "pin" "EXPR" Takes.Expression "keeps the checkpoints it reads in memory" (withArgument "pin" "an expression over checkpoints" Deeds.pin)
      row "unpin" "" Takes.Nothing "lets go of all that is pinned" Deeds.unpin
      row "load" "FILE" (Takes.Path [ ".tva" ]) "runs a script; its names stay" (withArgument "load" "a script's path" Deeds.load)
      row "save" "FILE" (Takes.Path [ ".tva" ]) "writes what has been done so far as a script"
          (withArgument "save" "a path for the script" (fun s path -> Saving.save s path; true))
      row "set" "[memory SIZE]" Takes.Setting "bound on memory, number of threads; alone, tells them" Deeds.set
      row "device" "[NAME]" Takes.Nothing "where things are computed; with a name, from now on there: cpu, gpu, auto or one of tva device" Deeds.device
      row "fs" "[F#]" Takes.FSharp "F# with the session's names, from here on or for one text" Deeds.fsharp
      row "tva" "" Takes.Nothing "back from F#" Deeds.tva
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
        | Some { Takes = Takes.FSharp } -> if s.FSharp.IsValueCreated then shifted (s.FSharp.Value.Complete(text.Substring from, offset - from)) else Completion.None
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
