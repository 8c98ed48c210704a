/// The process around the command: its streams and its signals.
module Tva.Program

open System
open System.IO
open System.Runtime.InteropServices
open System.Text
open System.Threading
open Tva.Dsl

let private writer (stream: Stream) =
    new StreamWriter(stream, UTF8Encoding false, 4096, AutoFlush = false)

let private environment (name: string) = not (String.IsNullOrEmpty(Environment.GetEnvironmentVariable name))

[<DllImport("libc")>]
extern int private fcntl(int file, int command)

/// Whether the process was started with this standard stream. Where it was closed, its number goes to something that the runtime opens for
/// itself, which, other than what is handed down, is closed for programs that are started.
let private has (stream: int) =
    let getFlags, closeOnExec = 1, 1
    not (OperatingSystem.IsLinux()) || (let flags = fcntl (stream, getFlags) in flags >= 0 && flags &&& closeOnExec = 0)

/// What nobody can be told of doesn't stop the work: a standard error that is closed, or full.
type private Deaf(inner: Stream) =
    inherit Stream()
    let attempt (write: unit -> unit) =
        try
            write ()
        with
        | :? IOException
        | :? UnauthorizedAccessException -> ()
    override _.CanRead = false
    override _.CanSeek = false
    override _.CanWrite = true
    override _.Length = raise (NotSupportedException())
    override _.Position
        with get () = raise (NotSupportedException())
        and set _ = raise (NotSupportedException())
    override _.Read(_: byte[], _: int, _: int) : int = raise (NotSupportedException())
    override _.Seek(_, _) = raise (NotSupportedException())
    override _.SetLength _ = raise (NotSupportedException())
    override _.Write(bytes: byte[], offset: int, count: int) = attempt (fun () -> inner.Write(bytes, offset, count))
    override _.Flush() = attempt inner.Flush

/// A side of the terminal; some say 0.
let private side watched least otherwise (ask: unit -> int) =
    if not watched then 0
    else
        try
            match ask () with
            | n when n >= least -> n
            | _ -> otherwise
        with :? IOException ->
            otherwise

let private width watched = side watched 20 80 (fun () -> Console.WindowWidth)
let private height watched = side watched 4 24 (fun () -> Console.WindowHeight)

/// Reading a text takes tens of milliseconds, and as long does the engine's first run, most of them spent on code that runs for the first
/// time; so both are done once on the side, ahead of the text that counts.
let private warmUp () =
    let body () =
        try
            use evaluator = new Evaluator(EvaluatorOptions.Default)
            evaluator.Check("", ".", "1") |> ignore
            Tva.Core.Execution.WarmUp.Run()
        with _ ->
            // Whatever is wrong shows again where it counts.
            ()
    Thread(body, IsBackground = true).Start()

[<EntryPoint>]
let main argv =
    // The prompt does so itself, once it is there.
    if argv.Length > 0 && Environment.ProcessorCount > 1 then
        warmUp ()
    use cancel = new CancellationTokenSource()
    // The first signal stops the work in good order, a second one stops at once. One that comes along with the first is the same:
    // `timeout` signals its child and then the group that both are in.
    let asked = ref 0L
    let mutable terminal: Prompt.UnixTerminal option = None
    let stop (context: PosixSignalContext) =
        if terminal.IsSome && context.Signal = PosixSignal.SIGINT then
            // At the prompt it is the key: what is running stops, the prompt doesn't.
            context.Cancel <- true
            terminal.Value.Interrupt()
        elif not cancel.IsCancellationRequested then
            context.Cancel <- true
            Volatile.Write(&asked.contents, Environment.TickCount64)
            cancel.Cancel()
        elif Environment.TickCount64 - Volatile.Read(&asked.contents) < 500L then
            context.Cancel <- true
    use _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, stop)
    use _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, stop)
    let watched = not Console.IsErrorRedirected
    use out = writer (Console.OpenStandardOutput())
    use error = writer (if has 2 then new Deaf(Console.OpenStandardError()) :> Stream else Stream.Null)
    let bytes = if has 0 then Console.OpenStandardInput() else Stream.Null
    use input = new StreamReader(bytes, UTF8Encoding false)
    let openTerminal () : Prompt.ITerminal =
        let t = new Prompt.UnixTerminal(error, (fun () -> width true), (fun () -> height true))
        terminal <- Some t
        cancel.Token.Register(fun () -> t.Close()) |> ignore
        t
    // Windows has no such terminals, and a dumb one follows no sequences: there texts are read to their end, as from a pipe.
    let isDumb = Environment.GetEnvironmentVariable "TERM" = "dumb"
    let isTyped = not Console.IsInputRedirected && watched
    let isPrompt = isTyped && not (OperatingSystem.IsWindows()) && not isDumb
    if isTyped && not isPrompt && argv.Length = 0 then
        error.WriteLine "no prompt on this terminal: a script is read from it to the end, which is Ctrl-D (Ctrl-Z and Enter on Windows)"
        error.Flush()
    let host =
        { In = input
          Input = bytes
          Out = out
          Error = error
          Watched = watched
          Color = watched && not isDumb && not (environment "NO_COLOR")
          Width = width watched
          Folder = Environment.CurrentDirectory
          Cancel = cancel.Token
          Prompt =
            (if isPrompt then
                 Some
                     { Open = openTerminal
                       History = Prompt.History.defaultPath ()
                       ColorResults = not Console.IsOutputRedirected && not (environment "NO_COLOR") }
             else
                 None) }
    let status = Command.main host argv
    out.Flush()
    error.Flush()
    status
