/// What F# prints to the console, caught where it runs: other threads of the process go on printing where they did.
module Tva.Scripting.Printing

open System
open System.IO
open System.Text
open System.Threading

/// Keeps what is written, up to a limit; `onWrite` hears that something was.
type Keeper(limit: int, onWrite: unit -> unit) =
    inherit TextWriter()
    let kept = StringBuilder()
    let mutable lost = 0L
    let add (text: ReadOnlySpan<char>) =
        onWrite ()
        let room = max 0 (limit - kept.Length)
        kept.Append(text.Slice(0, min room text.Length)) |> ignore
        lost <- lost + int64 (max 0 (text.Length - room))
    override _.Encoding = Encoding.Unicode
    override _.Write(c: char) = add (ReadOnlySpan [| c |])
    override _.Write(text: string | null) = match text with null -> () | t -> add (t.AsSpan())
    override _.Write(buffer: char[], index: int, count: int) = add (ReadOnlySpan(buffer, index, count))

    /// What was written since this was last asked.
    member _.Take() =
        let text = kept.ToString() + (if lost > 0L then $"\n... and {lost} characters more" else "")
        kept.Clear() |> ignore
        lost <- 0L
        text

let private current = AsyncLocal<TextWriter | null>()

/// Hands on to whoever listens on this flow of execution, else to the console's own writer.
type private Router(console: TextWriter) =
    inherit TextWriter()
    let target () = match current.Value with null -> console | w -> w
    override _.Encoding = console.Encoding
    override _.Write(c: char) = target().Write c
    override _.Write(text: string | null) = target().Write text
    override _.Write(buffer: char[], index: int, count: int) = target().Write(buffer, index, count)
    override _.Flush() = target().Flush()

let private gate = obj ()
let mutable private installed: TextWriter | null = null

let private install () =
    lock gate (fun () ->
        if not (obj.ReferenceEquals(Console.Out, installed)) then
            Console.SetOut(new Router(Console.Out))
            // As the console gives it back, wrapped.
            installed <- Console.Out)

/// Does the work with its console output going to the writer.
let into (writer: TextWriter) (work: unit -> 'a) : 'a =
    install ()
    let before = current.Value
    current.Value <- writer
    try
        work ()
    finally
        current.Value <- before
