/// The prompt: reads a text, does it, and reads the next, until it is left.
module Tva.Prompt.Loop

open System
open Tva
open Tva.Dsl
open Tva.Dsl.Services

let private prompt = "tva> "
let private more = "...> "

let private services (session: Session) : EditorServices =
    let isLanguageCommand (text: string) =
        let name, _ = Commands.split text
        Commands.all () |> List.exists (fun c -> c.Name = name && c.Takes = Commands.Takes.Expression)
    let folder = session.Host.Folder
    /// A mistake in what answers must not end the prompt.
    let quietly fallback f =
        try f ()
        with e when not (e :? OutOfMemoryException) -> fallback
    { Complete =
        fun text at ->
            quietly Completion.None (fun () ->
                if Commands.isCommand text then Commands.complete session text at else session.Service.Complete(folder, text, at))
      Describe =
        fun text at ->
            quietly [] (fun () ->
                match session.Service.Describe(folder, text, at) with
                | Some d -> d.Lines
                | None -> [])
      IsOpen =
        fun text ->
            if not (Commands.isCommand text) then Classify.isOpen text
            elif isLanguageCommand text then Classify.isOpen (snd (Commands.split text))
            else struct (false, 0) }

/// Reads one text; nothing where the prompt is to be left.
let private read (host: Host) (terminal: ITerminal) (screen: Screen) (services: EditorServices) (drawn: unit -> unit) (history: string[]) : string option =
    let draw e = Picture.draw host.Color terminal.Width terminal.Height prompt more e
    let quiet e = { e with Mode = Mode.Editing; Hint = [] }
    let rec go (e: Editor) =
        // What came in one piece is drawn once.
        if not terminal.Pending then
            screen.Draw(draw e)
            drawn ()
        let next, action = Editor.step services e (terminal.Read())
        match action with
        | Action.Continue -> go next
        | Action.ClearScreen ->
            screen.Clear()
            go next
        | Action.Submit text ->
            screen.Leave(draw { quiet next with Buffer = TextBuffer.atEnd text })
            Some text
        | Action.Abandon ->
            screen.Leave(draw (quiet next))
            go (Editor.start history)
        // In the middle of what was pasted without marks it is no wish to leave.
        | Action.Leave when terminal.Pending -> go next
        | Action.Leave ->
            screen.Leave(draw (quiet next))
            None
    go (Editor.start history)

/// Runs the prompt to its end and returns the exit status.
let run (host: Host) (console: PromptConsole) (options: EvaluatorOptions) (version: string) : int =
    use terminal = console.Open()
    use session = new Session(host, console, terminal, options)
    let screen = Screen terminal
    let services = services session
    let history = ResizeArray(History.load console.History)
    let mutable warned = false
    let remember (text: string) =
        if history.Count = 0 || history[history.Count - 1] <> text then
            history.Add text
            match History.add console.History text with
            | Some message when not warned ->
                warned <- true
                host.Say $"tva: {message}"
            | _ -> ()
    terminal.Write $"tva {version}; :help tells what there is, Ctrl-D leaves\n"
    let mutable prepared = false
    let prepare () =
        if not prepared then
            prepared <- true
            session.Prepare()
    let rec go () =
        match read host terminal screen services prepare (history.ToArray()) with
        | None -> ()
        | Some text when String.IsNullOrWhiteSpace text -> go ()
        | Some text ->
            remember (text.TrimEnd())
            let goesOn =
                if Commands.isCommand text then
                    Commands.run session text
                else
                    session.Run("<prompt>", host.Folder, text, fun _ _ -> ()) |> ignore
                    true
            if goesOn && not host.Cancel.IsCancellationRequested then
                go ()
    go ()
    if host.Cancel.IsCancellationRequested then Exit.Cancelled else Exit.Done
