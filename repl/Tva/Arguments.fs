/// From the words of the command line to what is asked for, or one line about what is wrong with them.
module Tva.Arguments

open System
open System.Globalization
open Argu
open Tva.Core.Tensors
open Tva.Dsl

[<HelpFlags("--help", "-h")>]
type Flag =
    | [<MainCommand>] Words of word: string list
    | Allow_Run
    | [<CustomCommandLine("--allow-fsharp")>] Allow_FSharp
    | [<EqualsAssignmentOrSpaced>] Set of assignment: string
    | [<EqualsAssignmentOrSpaced>] Device of name: string
    | [<EqualsAssignmentOrSpaced>] Device_Memory of size: string
    | [<EqualsAssignmentOrSpaced>] Memory of size: string
    | [<EqualsAssignmentOrSpaced>] Threads of n: string
    | Strict
    | No_Cache
    | Dry_Run
    | Resume
    | Incremental
    | Deep
    | Norms
    | [<AltCommandLine("-o"); EqualsAssignmentOrSpaced>] Out of file: string
    | Force
    | Json
    | Json_Lines
    | Version

    interface IArgParserTemplate with
        member flag.Usage =
            match flag with
            | Words _ -> "the command and what it works on"
            | Allow_Run -> "let `evaluate` start programs"
            | Allow_FSharp -> "let `fs` run F#"
            | Set _ -> "set a `param`: --set lambda=0.5; may be repeated"
            | Device _ -> "where to compute: cpu (the default), gpu, auto, or what tva device lists"
            | Device_Memory _ -> "bound on what is held in the device's memory; three quarters of it by default"
            | Memory _ -> "bound on what is held in memory: 500MB, 128MiB, 2GiB"
            | Threads _ -> "threads to compute with; one for each core by default"
            | Strict -> "treat warnings as errors, and NaN and infinity as faults"
            | No_Cache -> "neither use nor leave Gram matrices beside families"
            | Dry_Run -> "check and plan, but write nothing"
            | Resume -> "go on with what a stopped run has left of outputs, and leave what is done if this one stops"
            | Incremental -> "write only those tensors of outputs that are computed otherwise than what is there"
            | Deep -> "verify: compute a sample of the tensors anew and compare"
            | Norms -> "inspect: add the norm of each floating tensor"
            | Out _ -> "import: write the script to a file instead of stdout"
            | Force -> "import: write over a file that is there"
            | Json -> "print all there is to tell as one JSON document"
            | Json_Lines -> "print it as JSON while it comes, one object a line"
            | Version -> "print the version"

[<RequireQualifiedAccess>]
type Task =
    | Prompt
    | Help
    | Version
    /// A script; `-` is the standard input.
    | Run of script: string
    | Eval of text: string
    | Check of script: string
    | Plan of script: string
    | Inspect of path: string
    | Verify of path: string
    /// Lists the devices there are.
    | Devices
    | Ops of name: string option
    /// A configuration of another tool; `-` is the standard input.
    | Import of config: string
    /// Serves an editor over the standard streams.
    | Lsp

type Request =
    { Task: Task
      Permissions: Typing.Permissions
      Settings: Map<string, string>
      Memory: int64 option
      Threads: int option
      Device: string option
      DeviceMemory: int64 option
      Strict: bool
      NoCache: bool
      DryRun: bool
      Resume: bool
      Incremental: bool
      Deep: bool
      Norms: bool
      Out: string option
      Force: bool
      Json: bool
      /// As it comes, an object a line, and not one document.
      JsonLines: bool }

    /// A document gathers what is told bit by bit; what tells one thing as JSON is one already.
    member r.JsonDocument = r.Json && not r.JsonLines && not (r.Task.IsInspect || r.Task.IsVerify || r.Task.IsImport)

/// Name, what it takes and what it does, as the help lists them.
let commands =
    [ "run", "SCRIPT", "runs a script; paths in it are relative to it (`tva SCRIPT.tva` is the same, `tva -` reads it from stdin)"
      "eval", "TEXT", "runs a text; paths in it are relative to the working folder"
      "check", "SCRIPT", "reports every mistake that the text and the headers can tell; computes nothing"
      "plan", "SCRIPT", "prints what would be done: passes, kernels, bytes read and written"
      "inspect", "PATH", "lists a checkpoint's tensors: a file, an index of shards or a folder"
      "verify", "PATH", "checks an output: its structure, its bytes, the inputs it names; --deep computes tensors anew"
      "device", "", "lists the devices that --device may name"
      "import", "CONFIG", "turns a mergekit configuration into a script"
      "lsp", "", "serves an editor with diagnostics, hover, completion and definitions over stdio"
      "ops", "[NAME]", "lists the functions, or tells all about one" ]

exception private Wrong of string

let private wrong message = raise (Wrong message)

// The width is given so that Argu does not ask the terminal for it, which costs milliseconds.
let private parser =
    lazy (ArgumentParser.Create<Flag>(programName = "tva", usageStringCharacterWidth = 100, checkStructure = false))

/// The options as Argu knows them.
let flags = lazy (parser.Value.GetArgumentCases() |> List.filter (fun c -> not c.IsMainCommand))

let private names = lazy ("--help" :: [ for c in flags.Value do yield! c.CommandLineNames.Value ])

/// The option that stands where there is none of that name.
let private unknown (word: string) =
    let name = word.Split('=').[0]
    wrong (
        match Suggest.nearest name names.Value with
        | Some known when known = name -> $"{name}: a value is missing"
        | Some known -> $"there is no option {name}; did you mean {known}?"
        | None -> $"there is no option {name}; tva --help lists them"
    )

/// No bound on memory is meant to be smaller: it is a number whose unit was forgotten.
let private leastSize = 64L <<< 10

/// 500MB, 128MiB, 2G or plain bytes.
let private sizeOf (option: string) (text: string) : int64 =
    match ByteSize.parse text with
    | Some bytes when bytes < leastSize -> wrong $"{option} {text}: too little, the least is {Sizes.Text leastSize}; write for instance 500MB, 128MiB or 2GiB"
    | Some bytes -> bytes
    | None -> wrong $"{option} {text}: not a size; write for instance 500MB, 128MiB or 2GiB"

let size (text: string) : int64 = sizeOf "--memory" text

/// The same for the prompt.
let trySize (text: string) : Result<int64, string> =
    try
        Ok(size text)
    with Wrong message ->
        Result.Error(message.Replace("--memory ", ""))

let private threads (text: string) =
    match Int32.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture) with
    | true, n when n >= 1 && n <= 4096 -> n
    | _ -> wrong $"--threads {text}: not a number from 1 to 4096"

let private setting (text: string) =
    match text.IndexOf '=' with
    | i when i > 0 -> text.Substring(0, i).Trim(), text.Substring(i + 1)
    | _ -> wrong $"--set {text}: not of the form NAME=VALUE"

let private task (words: string list) (literal: string list) =
    // `eval`'s text may begin with a minus; what has two and a letter is an option mistyped.
    let isOption (w: string) = w.Length > 2 && w.StartsWith "--" && Char.IsLetter w[2] || w.Length = 2 && w[0] = '-' && Char.IsLetter w[1]
    let isEval = words |> List.tryHead = Some "eval"
    match words |> List.tryFind (fun w -> isOption w && not (isEval && w.Length = 2) && words <> [ "lsp"; "--stdio" ]) with
    | Some w -> unknown w
    | None -> ()
    let one name what make (rest: string list) =
        match rest with
        | [ x ] -> make x
        | [] when what = "script" -> wrong $"tva {name} needs a script: a file, or - for the standard input"
        | [] -> wrong $"tva {name} needs {what}"
        | _ when name = "eval" -> wrong "tva eval takes one text; put it in quotes: tva eval \"1 + 1\""
        | _ :: second :: _ -> wrong $"tva {name} takes one {what}, and {second} is another"
    match words @ literal with
    | [] -> Task.Prompt
    | [ "help" ] -> Task.Help
    | "run" :: rest -> one "run" "script" Task.Run rest
    | "eval" :: rest -> one "eval" "text" Task.Eval rest
    | "check" :: rest -> one "check" "script" Task.Check rest
    | "plan" :: rest -> one "plan" "script" Task.Plan rest
    | "inspect" :: rest -> one "inspect" "checkpoint" Task.Inspect rest
    | "verify" :: rest -> one "verify" "checkpoint" Task.Verify rest
    | "import" :: rest -> one "import" "configuration" Task.Import rest
    | [ "lsp" ]
    // Editors say so, and there is nothing else.
    | [ "lsp"; "--stdio" ] -> Task.Lsp
    | "lsp" :: word :: _ -> wrong $"tva lsp takes nothing, and {word} is something"
    | [ "device" ] -> Task.Devices
    | "device" :: word :: _ -> wrong $"tva device takes nothing, and {word} is something; --device {word} computes there"
    | [ "ops" ] -> Task.Ops None
    | "ops" :: rest -> one "ops" "function" (Some >> Task.Ops) rest
    | [ "-" ] -> Task.Run "-"
    | [ script ] when script.EndsWith(".tva", StringComparison.OrdinalIgnoreCase) -> Task.Run script
    | word :: _ ->
        let known = [ for name, _, _ in commands -> name ]
        match Suggest.nearest word known with
        | Some k -> wrong $"there is no command {word}; did you mean {k}?"
        | None -> wrong $"""there is no command {word}; the commands are {String.Join(", ", known)}"""

/// Argu's message without its usage text.
let private firstLine (message: string) =
    let line = message.Split('\n').[0].Trim()
    let line = if line.StartsWith "ERROR: " then line.Substring 7 else line
    line.TrimEnd('.') + "; tva --help lists the options"

/// What no words at all ask for.
let private nothing =
    { Task = Task.Prompt
      Permissions = { Run = false; FSharp = false }
      Settings = Map.empty
      Memory = None
      Threads = None
      Device = None
      DeviceMemory = None
      Strict = false
      NoCache = false
      DryRun = false
      Resume = false
      Incremental = false
      Deep = false
      Norms = false
      Out = None
      Force = false
      Json = false
      JsonLines = false }

let private parseWords (argv: string[]) : Result<Request, string> =
    try
        // What follows `--` is taken as it is.
        let own, literal =
            match Array.IndexOf(argv, "--") with
            | -1 -> argv, []
            | i -> argv[.. i - 1], List.ofArray argv[i + 1 ..]
        let parsed = parser.Value.ParseCommandLine(own, ignoreMissing = true, raiseOnUsage = false)
        let words = ResizeArray<string>()
        let mutable request = { nothing with Task = Task.Help }
        let mutable version = false
        for flag in parsed.GetAllResults() do
            match flag with
            | Words ws -> words.AddRange ws
            | Allow_Run -> request <- { request with Permissions = { request.Permissions with Run = true } }
            | Allow_FSharp -> request <- { request with Permissions = { request.Permissions with FSharp = true } }
            | Set s -> request <- { request with Settings = request.Settings.Add(setting s) }
            | Device name when String.IsNullOrWhiteSpace name -> wrong "--device: a name is missing; choose cpu, gpu, auto, or what tva device lists"
            | Device name -> request <- { request with Device = Some(name.Trim()) }
            | Device_Memory s -> request <- { request with DeviceMemory = Some(sizeOf "--device-memory" s) }
            | Memory s -> request <- { request with Memory = Some(size s) }
            | Threads s -> request <- { request with Threads = Some(threads s) }
            | Strict -> request <- { request with Strict = true }
            | No_Cache -> request <- { request with NoCache = true }
            | Dry_Run -> request <- { request with DryRun = true }
            | Resume -> request <- { request with Resume = true }
            | Incremental -> request <- { request with Incremental = true }
            | Deep -> request <- { request with Deep = true }
            | Norms -> request <- { request with Norms = true }
            | Out file -> request <- { request with Out = Some file }
            | Force -> request <- { request with Force = true }
            | Json -> request <- { request with Json = true }
            | Json_Lines -> request <- { request with Json = true; JsonLines = true }
            | Version -> version <- true
        if parsed.IsUsageRequested then Ok { request with Task = Task.Help }
        elif version then Ok { request with Task = Task.Version }
        else
            let task = task (List.ofSeq words) literal
            if request.Norms && not task.IsInspect then wrong "--norms is an option of tva inspect"
            if request.Deep && not task.IsVerify then wrong "--deep is an option of tva verify"
            if (request.Out.IsSome || request.Force) && not task.IsImport then
                wrong $"""{if request.Out.IsSome then "--out" else "--force"} is an option of tva import"""
            Ok { request with Task = task }
    with
    | Wrong message -> Result.Error message
    | :? ArguParseException as e -> Result.Error(firstLine e.Message)

let parse (argv: string[]) : Result<Request, string> =
    // The parser takes tens of milliseconds to make, half of what a small text takes in all: where there are no options it has nothing to do.
    if argv |> Array.exists _.StartsWith('-') then
        parseWords argv
    else
        try
            Ok { nothing with Task = task (List.ofArray argv) [] }
        with Wrong message ->
            Result.Error message
