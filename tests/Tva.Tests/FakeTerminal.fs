/// A terminal for tests: inputs are given beforehand, and what is drawn goes to a small screen that can be read.
namespace Tva.Tests

open System
open System.Collections.Generic
open System.IO
open System.Text
open System.Threading
open Tva
open Tva.Prompt

/// A screen that follows the sequences the prompt uses; rows grow downwards without end, so nothing scrolls away.
type FakeScreen(width: int) =
    let rows = List<StringBuilder>([ StringBuilder() ])
    let mutable row = 0
    let mutable column = 0
    let all = StringBuilder()

    let line () =
        while rows.Count <= row do
            rows.Add(StringBuilder())
        rows[row]

    let put (c: char) =
        if column = width then
            row <- row + 1
            column <- 0
        let l = line ()
        while l.Length <= column do
            l.Append ' ' |> ignore
        l[column] <- c
        column <- column + 1

    member _.Sent = all.ToString()

    member _.Write(text: string) =
        all.Append text |> ignore
        let mutable i = 0
        while i < text.Length do
            match text[i] with
            | '\r' -> column <- 0
            | '\n' ->
                row <- row + 1
                column <- 0
                line () |> ignore
            | '\u001b' ->
                let start = i + 2
                i <- start
                while i < text.Length && not (Char.IsLetter text[i]) do
                    i <- i + 1
                let number = match Int32.TryParse(text.Substring(start, i - start)) with | true, n -> n | _ -> 0
                match text[i] with
                | 'A' -> row <- max 0 (row - max 1 number)
                | 'B' -> row <- row + max 1 number
                | 'C' -> column <- min (width - 1) (column + max 1 number)
                | 'J' when number = 0 ->
                    let l = line ()
                    l.Length <- min l.Length column
                    rows.RemoveRange(row + 1, rows.Count - row - 1)
                | 'J' ->
                    rows.Clear()
                    row <- 0
                    column <- 0
                | 'H' ->
                    row <- 0
                    column <- 0
                | _ -> ()
            | c -> put c
            i <- i + 1

    member _.Rows = rows |> Seq.map (fun r -> r.ToString().TrimEnd()) |> List.ofSeq
    member this.Text = String.Join("\n", this.Rows)
    member _.Cursor = row, column

/// Writes to the screen as a stream does.
type ScreenWriter(screen: FakeScreen) =
    inherit TextWriter()
    override _.Encoding = Encoding.UTF8
    override _.Write(c: char) = screen.Write(string c)
    override _.Write(text: string | null) = screen.Write(text |> Option.ofObj |> Option.defaultValue "")

/// What happens at a terminal, in order.
type Act =
    | Typed of string
    | Press of Key
    | PasteText of string
    /// Something to look at before going on.
    | Look of (FakeScreen -> unit)
    /// Ctrl-C some time after the next input has been taken.
    | InterruptAfter of TimeSpan

type FakeTerminal(width: int, height: int, acts: Act list) =
    let screen = FakeScreen width
    let waiting = Queue<Act>(acts)
    let keys = Queue<Input>()
    let mutable watcher: (unit -> bool) option = None
    let interrupt () =
        let rec attempt n =
            // The work that it is meant for may not have begun.
            match watcher with
            | Some act -> act () |> ignore
            | None when n > 0 ->
                Thread.Sleep 5
                attempt (n - 1)
            | None -> ()
        attempt 400

    member _.Screen = screen
    member _.Out = new ScreenWriter(screen)

    interface ITerminal with
        member _.Read() =
            let rec next () =
                if keys.Count > 0 then keys.Dequeue()
                elif waiting.Count = 0 then Input.Closed
                else
                    match waiting.Dequeue() with
                    | Typed text ->
                        let decoder = KeyDecoder()
                        for c in text do
                            for input in decoder.Feed c do
                                keys.Enqueue input
                        for input in decoder.Flush() do
                            keys.Enqueue input
                        next ()
                    | Press key -> Input.Key key
                    | PasteText text -> Input.Paste text
                    | Look look ->
                        look screen
                        next ()
                    | InterruptAfter time ->
                        let thread =
                            Thread((fun () ->
                                Thread.Sleep time
                                interrupt ()),
                                   IsBackground = true)
                        thread.Start()
                        next ()
            next ()

        member _.Pending = keys.Count > 0
        member _.Write text = screen.Write text
        member _.Width = width
        member _.Height = height
        member _.WatchInterrupt act =
            watcher <- Some act
            { new IDisposable with
                member _.Dispose() = watcher <- None }
        member _.Dispose() = ()

/// A whole prompt with a person at it.
module AtPrompt =

    type Seen =
        { Screen: FakeScreen
          Status: int }

        member s.Text = s.Screen.Text

    let runWith (color: bool) (history: string option) (folder: string) (width: int) (height: int) (acts: Act list) : Seen =
        let terminal = new FakeTerminal(width, height, acts)
        let console = { Open = (fun () -> terminal); History = history; ColorResults = color }
        use out = terminal.Out
        let host = { Command.host folder "" out out with Prompt = Some console; Color = color; Watched = true; Width = width }
        let status = Tva.Command.main host [||]
        { Screen = terminal.Screen; Status = status }

    let run (folder: string) (acts: Act list) = runWith false None folder 100 40 acts
