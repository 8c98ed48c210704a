/// The prompt: reads a text, does it, and reads the next, until it is left.
module Tva.Prompt.Loop

open System
open Tva
open Tva.Dsl
open Tva.Dsl.Services

let private marks (language: Language) =
    match language with
    | Language.Tva -> struct ("tva> ", "...> ")
    | Language.FSharp -> struct ("F#> ", "..> ")

let private services (session: Session) : EditorServices =
    let command (text: string) =
        let name, argument = Commands.split text
        Commands.all () |> List.tryFind (fun c -> c.Name = name) |> Option.map (fun c -> c.Takes, argument)
    let folder = session.Host.Folder
    let isFSharp () = session.Language = Language.FSharp
    /// A mistake in what answers must not end the prompt.
    let quietly fallback f =
        try f ()
        with e when not (e :? OutOfMemoryException) -> fallback
    { Complete =
        fun text at ->
            quietly Completion.None (fun () ->
                if Commands.isCommand text then Commands.complete session text at
                elif isFSharp () then session.FSharp.Value.Complete(text, at)
                else session.Service.Complete(folder, text, at))
      Describe =
        fun text at ->
            quietly [] (fun () ->
                match (if isFSharp () then None else session.Service.Describe(folder, text, at)) with
                | Some d -> d.Lines
                | None -> [])
      IsOpen =
        fun text ->
            if Commands.isCommand text then
                match command text with
                | Some(Commands.Takes.Expression, argument) -> Classify.isOpen argument
                | Some(Commands.Takes.FSharp, argument) -> FSharpText.isOpen argument
                | _ -> struct (false, 0)
            elif isFSharp () then FSharpText.isOpen text
            else Classify.isOpen text
      Classify = fun text -> if isFSharp () && not (Commands.isCommand text) then FSharpText.classify text else Classify.classify text }

/// How reading ends.
[<RequireQualifiedAccess>]
type private Read =
    | Text of string
    /// Ctrl-D.
    | Leave
    /// Nothing will come any more.
    | Closed

/// Reads one text.
let private read (session: Session) (screen: Screen) (services: EditorServices) (drawn: unit -> unit) (typed: string -> unit) (history: string[]) : Read =
    let terminal = session.Terminal
    let struct (prompt, more) = marks session.Language
    let draw e = Picture.draw session.Host.Color services.Classify terminal.Width terminal.Height prompt more e
    let quiet e = { e with Mode = Mode.Editing; Hint = [] }
    let rec go (e: Editor) =
        // What came in one piece is drawn once.
        if not terminal.Pending then
            screen.Draw(draw e)
            drawn ()
            typed e.Buffer.Text
        let input = terminal.Read()
        let next, action = Editor.step services e input
        match action with
        | Action.Continue -> go next
        | Action.ClearScreen ->
            screen.Clear()
            go next
        | Action.Submit text ->
            screen.Leave(draw { quiet next with Buffer = TextBuffer.atEnd text })
            Read.Text text
        | Action.Abandon ->
            screen.Leave(draw (quiet next))
            go (Editor.start history)
        // In the middle of what was pasted without marks it is no wish to leave.
        | Action.Leave when terminal.Pending -> go next
        | Action.Leave ->
            screen.Leave(draw (quiet next))
            if input = Input.Closed then Read.Closed else Read.Leave
    go (Editor.start history)

/// The texts of one language, kept in a file of their own; what can't be kept is told once.
type private Past(host: Host, file: string option) =
    let entries = ResizeArray(History.load file)
    let mutable warned = false
    member _.Entries = entries.ToArray()
    member _.Add(text: string) =
        if entries.Count = 0 || entries[entries.Count - 1] <> text then
            entries.Add text
            match History.add file text with
            | Some message when not warned ->
                warned <- true
                host.Say $"tva: {message}"
            | _ -> ()

/// Whether a text is about to need F#: it is loaded from then on, while the rest is typed.
let private needsFSharp (text: string) =
    text.StartsWith ":fs" || text.Contains "fs \"" || text.Contains "fs\""

/// Runs the prompt to its end and returns the exit status.
let run (host: Host) (console: PromptConsole) (options: EvaluatorOptions) (version: string) : int =
    use terminal = console.Open()
    use session = new Session(host, console, terminal, options)
    session.FSharp <- lazy (new FSharpPrompt(session) :> IFSharpPrompt)
    let screen = Screen terminal
    let services = services session
    let past = Past(host, console.History)
    let pastFSharp = lazy Past(host, console.History |> Option.map (fun f -> f + "-fsharp"))
    terminal.Write $"tva {version}; :help tells what there is, Ctrl-D leaves\n"
    let mutable prepared = false
    let prepare () =
        if not prepared then
            prepared <- true
            session.Prepare()
    let typed (text: string) =
        if session.Language = Language.Tva && needsFSharp text then
            session.PrepareFSharp()
    let rec go () =
        let isFSharp = session.Language = Language.FSharp
        let past = if isFSharp then pastFSharp.Value else past
        match read session screen services prepare typed past.Entries with
        | Read.Closed -> ()
        | Read.Leave ->
            if isFSharp then
                session.Language <- Language.Tva
                go ()
        | Read.Text text when String.IsNullOrWhiteSpace text -> go ()
        | Read.Text text ->
            past.Add(text.TrimEnd())
            let goesOn =
                if Commands.isCommand text then Commands.run session text
                elif isFSharp then
                    // F# Interactive would end the process.
                    if List.contains (text.Trim().TrimEnd(';')) [ "#quit"; "#q" ] then session.Language <- Language.Tva
                    else session.FSharp.Value.Run text
                    true
                else
                    session.Run("<prompt>", host.Folder, text, fun _ _ -> ()) |> ignore
                    true
            if goesOn && not host.Cancel.IsCancellationRequested then
                go ()
    go ()
    if host.Cancel.IsCancellationRequested then Exit.Cancelled else Exit.Done
