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

/// Columns of the terminal; some say 0.
let private width watched =
    if not watched then 0
    else
        try
            match Console.WindowWidth with
            | n when n >= 20 -> n
            | _ -> 80
        with :? IOException ->
            80

/// Reading the command line and reading the prelude take a few tens of milliseconds each, most of it spent on code that runs for
/// the first time; so the prelude's part is done on the side meanwhile.
let private warmUp () =
    let body () =
        try
            use evaluator = new Evaluator(EvaluatorOptions.Default)
            evaluator.Check("", ".", "1") |> ignore
        with _ ->
            // Whatever is wrong shows again where it counts.
            ()
    Thread(body, IsBackground = true).Start()

[<EntryPoint>]
let main argv =
    if argv.Length > 0 then
        warmUp ()
    use cancel = new CancellationTokenSource()
    // The first signal stops the work in good order, a second one stops at once.
    let stop (context: PosixSignalContext) =
        if not cancel.IsCancellationRequested then
            context.Cancel <- true
            cancel.Cancel()
    use _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, stop)
    use _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, stop)
    let watched = not Console.IsErrorRedirected
    use out = writer (Console.OpenStandardOutput())
    use error = writer (Console.OpenStandardError())
    use input = new StreamReader(Console.OpenStandardInput(), UTF8Encoding false)
    let host =
        { In = input
          Out = out
          Error = error
          Watched = watched
          Color = watched && not (environment "NO_COLOR")
          Width = width watched
          Folder = Environment.CurrentDirectory
          Cancel = cancel.Token }
    let status = Command.main host argv
    out.Flush()
    error.Flush()
    status
