/// What the prompt is connected to: keys come in, characters go out. The real one is a Unix terminal; tests bring their own.
namespace Tva.Prompt

open System
open System.Collections.Concurrent
open System.IO
open System.Runtime.InteropServices
open System.Text
open System.Threading

type ITerminal =
    /// The next input; waits for it.
    abstract Read: unit -> Input
    /// Whether more has been typed or pasted already.
    abstract Pending: bool
    /// Draws; escape sequences are followed.
    abstract Write: string -> unit
    abstract Width: int
    abstract Height: int
    /// While what is returned lives, Ctrl-C calls this; it is not read where the answer is true.
    abstract WatchInterrupt: (unit -> bool) -> IDisposable
    inherit IDisposable

/// A terminal, and what is known of the person at it.
type PromptConsole =
    { Open: unit -> ITerminal
      /// Where the history is kept, if anywhere.
      History: string option
      /// Results are seen by a person too.
      ColorResults: bool }

module private Libc =

    [<DllImport("libc")>]
    extern int tcgetattr(int file, byte[] state)

    [<DllImport("libc")>]
    extern int tcsetattr(int file, int action, byte[] state)

    [<DllImport("libc")>]
    extern void cfmakeraw(byte[] state)

    [<DllImport("libc")>]
    extern nativeint read(int file, byte[] buffer, nativeint count)

/// The terminal on the standard input. Keys come singly and unechoed from its making until it is disposed: Console.ReadKey would not do, as
/// it knows no pasted texts and lets go of the terminal between two keys.
type UnixTerminal(out: TextWriter, width: unit -> int, height: unit -> int) =
    let queue = InputQueue()
    let gate = obj ()
    let mutable watcher: (unit -> bool) option = None
    let saved = Array.zeroCreate<byte> 512
    let raw = Array.zeroCreate<byte> 512
    let now = 0
    let after = if OperatingSystem.IsMacOS() then 2 else 1

    do
        Libc.tcgetattr (0, saved) |> ignore
        Array.blit saved 0 raw 0 raw.Length
        Libc.cfmakeraw raw
        // Output goes on as before, with line ends that return; its flags are the second of the state's words.
        let word = if OperatingSystem.IsMacOS() then 8 else 4
        Array.blit saved word raw word word
        Libc.tcsetattr (0, now, raw) |> ignore
        // Pasted texts come between marks.
        out.Write "\u001b[?2004h"
        out.Flush()

    let mutable restored = false

    /// As it was found; also where F# ends the process.
    let restore () =
        if not restored then
            restored <- true
            out.Write "\u001b[?2004l"
            out.Flush()
            Libc.tcsetattr (0, after, saved) |> ignore

    let onExit = EventHandler(fun _ _ -> restore ())
    let onCrash = UnhandledExceptionEventHandler(fun _ _ -> restore ())

    do
        AppDomain.CurrentDomain.add_ProcessExit onExit
        AppDomain.CurrentDomain.add_UnhandledException onCrash

    let interrupted () =
        lock gate (fun () ->
            match watcher with
            | Some act -> act ()
            | None -> false)

    let decoder = KeyDecoder()
    let characters = new BlockingCollection<string>()

    /// The console's own stream reads and echoes whole lines from a terminal, so this reads the file itself.
    let pump () =
        let bytes = Array.zeroCreate<byte> 65536
        let decode = UTF8Encoding(false, false).GetDecoder()
        let chars = Array.zeroCreate<char> (65536 + 16)
        let next () = int (Libc.read (0, bytes, nativeint bytes.Length))
        let mutable n = next ()
        while n > 0 do
            characters.Add(String(chars, 0, decode.GetChars(bytes, 0, n, chars, 0, false)))
            n <- next ()
        characters.CompleteAdding()

    let give (input: Input) =
        match input with
        | Input.Key(Key.Ctrl 'c') ->
            // As a terminal's own line discipline does: what was typed ahead is given up too, such as a paste that one thinks better of.
            queue.Clear()
            if not (interrupted ()) then
                queue.Add input
        | input -> queue.Add input

    /// An escape alone is told from the begin of a sequence by what follows, or that nothing does.
    let translate () =
        let mutable text = ""
        let mutable go = true
        while go do
            if characters.TryTake(&text, (if decoder.Waits then 40 else Timeout.Infinite)) then
                decoder.Feed(text, give)
            elif characters.IsCompleted then
                queue.Add Input.Closed
                go <- false
            else
                List.iter give (decoder.Flush())

    do
        Thread(pump, IsBackground = true).Start()
        Thread(translate, IsBackground = true).Start()

    let resized =
        if OperatingSystem.IsWindows() then None
        else Some(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, fun _ -> queue.Add Input.Resized))

    /// A signal from outside is what the key is.
    member _.Interrupt() = give (Input.Key(Key.Ctrl 'c'))
    member _.Close() = queue.Add Input.Closed

    interface ITerminal with
        member _.Read() =
            // A command that ran meanwhile may have left the terminal otherwise.
            Libc.tcsetattr (0, now, raw) |> ignore
            queue.Take()

        member _.Pending = queue.Pending
        member _.Write text =
            out.Write text
            out.Flush()

        member _.Width = width ()
        member _.Height = height ()

        member _.WatchInterrupt act =
            lock gate (fun () -> watcher <- Some act)
            { new IDisposable with
                member _.Dispose() = lock gate (fun () -> watcher <- None) }

        member _.Dispose() =
            resized |> Option.iter _.Dispose()
            AppDomain.CurrentDomain.remove_ProcessExit onExit
            AppDomain.CurrentDomain.remove_UnhandledException onCrash
            restore ()
