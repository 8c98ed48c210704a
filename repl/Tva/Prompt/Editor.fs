/// The line editor as a pure machine: a state and an input give a state and what is to be done. It draws nothing and reads nothing.
///
/// RadLine 0.6.0 was tried for this and doesn't serve: its highlighter colours word by word, so a lexer has no say; whether Enter ends the
/// input can't depend on open brackets; a pasted text comes as keys, each Enter of it submitting; its history is neither searched nor
/// kept; completions are cycled through without a list; and its preview depends on Spectre.Console's internals.
namespace Tva.Prompt

open System
open Tva.Dsl.Services

type Menu =
    { Completion: Completion
      /// -1: none yet.
      Selected: int
      /// The text before anything of the menu was put into it.
      Before: TextBuffer }

[<RequireQualifiedAccess>]
type Mode =
    | Editing
    | Choosing of Menu
    /// Searches the history backwards: the pattern, the entry found, the text before.
    | Searching of pattern: string * found: int * before: TextBuffer

type Editor =
    { Buffer: TextBuffer
      Mode: Mode
      /// Earlier states, last first.
      Undo: TextBuffer list
      Killed: string
      /// Oldest first.
      History: string[]
      /// The entry shown; the number of entries: the text being written.
      Entry: int
      /// What was being written when the history was entered.
      Draft: TextBuffer
      /// Only entries that begin like this are walked through.
      Prefix: string
      /// A line to show below, such as a signature.
      Hint: string list
      /// Where the cursor stands behind a quote that completion has just put; -1 elsewhere.
      Closed: int }

/// What the editor asks of the language.
type EditorServices =
    { Complete: string -> int -> Completion
      Describe: string -> int -> string list
      /// Whether the text asks for another line, and how deep it is indented there.
      IsOpen: string -> struct (bool * int)
      Classify: string -> Classified[] }

[<RequireQualifiedAccess>]
type Action =
    | Continue
    | Submit of string
    /// Ctrl-C: the text is given up.
    | Abandon
    | Leave
    | ClearScreen

module Editor =

    let start (history: string[]) =
        { Buffer = TextBuffer.empty; Mode = Mode.Editing; Undo = []; Killed = ""; History = history; Entry = history.Length; Draft = TextBuffer.empty
          Prefix = ""; Hint = []; Closed = -1 }

    /// So much text is edited; more is a file's business.
    [<Literal>]
    let MaxText = 4_000_000

    let private tooLong = [ "the text is too long to be edited here; put it into a file: :load file.tva" ]

    let private mostUndo = 500

    let private remember e =
        match e.Undo with
        | last :: _ when last.Text = e.Buffer.Text -> e
        | _ ->
            // Long texts a few times, short ones often.
            let most = Math.Clamp(20_000_000 / (e.Buffer.Text.Length + 1), 4, mostUndo)
            { e with Undo = e.Buffer :: (if e.Undo.Length > most then List.truncate (most / 2) e.Undo else e.Undo) }

    /// A change of the text: it can be taken back, and ends the walk through the history.
    let private change (f: TextBuffer -> TextBuffer) e =
        let after = f e.Buffer
        if after.Text.Length > MaxText then
            { e with Hint = tooLong }
        else
            { remember e with Buffer = after; Entry = e.History.Length; Prefix = "" }

    /// Text at the cursor; one that is too long is not even tried.
    let private insert (text: string) e =
        if e.Buffer.Text.Length + text.Length > MaxText then { e with Hint = tooLong } else change (TextBuffer.insert text) e

    let private move f e = { e with Buffer = f e.Buffer }

    let private kill f e =
        let after, killed = f e.Buffer
        if killed = "" then e else { change (fun _ -> after) e with Killed = killed }

    let private show entry (text: TextBuffer) e = { e with Entry = entry; Buffer = text }

    let private earlier e =
        let e =
            if e.Entry < e.History.Length then e
            else { e with Draft = e.Buffer; Prefix = e.Buffer.Text.Substring(0, e.Buffer.Cursor) }
        let fits i = e.History[i].StartsWith(e.Prefix, StringComparison.Ordinal) && e.History[i] <> e.Buffer.Text
        match Seq.tryFind fits (seq { e.Entry - 1 .. -1 .. 0 }) with
        | Some i -> show i (TextBuffer.atEnd e.History[i]) e
        | None -> e

    let private later e =
        let fits i = e.History[i].StartsWith(e.Prefix, StringComparison.Ordinal) && e.History[i] <> e.Buffer.Text
        match Seq.tryFind fits (seq { e.Entry + 1 .. e.History.Length - 1 }) with
        | Some i -> show i (TextBuffer.atEnd e.History[i]) e
        | None when e.Entry < e.History.Length -> show e.History.Length e.Draft e
        | None -> e

    let private indentFor depth = String(' ', 4 * min depth 8)

    let private isBlank (text: string) = String.IsNullOrWhiteSpace text

    /// Enter: another line where the text asks for one, unless the last is left empty already.
    let private enter (services: EditorServices) e =
        let text = e.Buffer.Text
        let struct (isOpen, depth) = services.IsOpen text
        let lastLine = text.Substring(TextBuffer.lineStart text text.Length)
        if isOpen && not (text.Contains '\n' && isBlank lastLine) then
            // In the middle of a text that is open further down, a line is split.
            let struct (_, here) = services.IsOpen(text.Substring(0, e.Buffer.Cursor))
            change (TextBuffer.insert ("\n" + indentFor (if e.Buffer.Cursor = text.Length then depth else here))) e, Action.Continue
        else
            e, Action.Submit text

    // Completion

    let private put (completion: Completion) (text: string) (before: TextBuffer) =
        TextBuffer.replace completion.Start (max completion.Start completion.End) text before

    /// The text was completed with its closing quote, which a person types all the same.
    let private closing (e: Editor) =
        if e.Buffer.Cursor > 0 && e.Buffer.Text[e.Buffer.Cursor - 1] = '"' then { e with Closed = e.Buffer.Cursor } else e

    let private commonPrefix (texts: string list) =
        texts
        |> List.reduce (fun a b ->
            let mutable n = 0
            while n < a.Length && n < b.Length && a[n] = b[n] do
                n <- n + 1
            a.Substring(0, n))

    let private complete (services: EditorServices) e =
        let completion = services.Complete e.Buffer.Text e.Buffer.Cursor
        let written = e.Buffer.Text.Substring(completion.Start, max 0 (e.Buffer.Cursor - completion.Start))
        match completion.Candidates with
        | [] -> { e with Hint = services.Describe e.Buffer.Text e.Buffer.Cursor }
        | [ one ] -> closing { change (put completion one.Text) e with Hint = (if one.Detail = "" then [] else [ one.Detail ]) }
        | several ->
            let common = commonPrefix (several |> List.map _.Text)
            let e = if common.Length > written.Length then change (put { completion with End = e.Buffer.Cursor } common) e else e
            let completion = { completion with End = max completion.End e.Buffer.Cursor }
            { e with Mode = Mode.Choosing { Completion = completion; Selected = -1; Before = e.Buffer } }

    let private choose menu step e =
        let n = menu.Completion.Candidates.Length
        let selected = if menu.Selected < 0 && step < 0 then n - 1 else (menu.Selected + step + n) % n
        let text = menu.Completion.Candidates[selected].Text
        closing { change (fun _ -> put menu.Completion text menu.Before) e with Mode = Mode.Choosing { menu with Selected = selected } }

    // Search

    let private search (history: string[]) (pattern: string) from =
        if pattern = "" then -1
        else
            seq { min from (history.Length - 1) .. -1 .. 0 }
            |> Seq.tryFind (fun i -> history[i].Contains(pattern, StringComparison.OrdinalIgnoreCase))
            |> Option.defaultValue -1

    let private found (pattern: string) at before e =
        let buffer =
            if at < 0 then e.Buffer
            else
                let i = e.History[at].IndexOf(pattern, StringComparison.OrdinalIgnoreCase)
                { Text = e.History[at]; Cursor = max 0 i }
        { e with Buffer = buffer; Mode = Mode.Searching(pattern, at, before) }

    let rec private editing (services: EditorServices) (e: Editor) (key: Key) : Editor * Action =
        let stay e = e, Action.Continue
        match key with
        | Key.Text text -> stay (insert text e)
        | Key.Enter -> enter services e
        | Key.Newline -> stay (change (TextBuffer.insert "\n") e)
        | Key.Tab ->
            let line = e.Buffer.Text.Substring(TextBuffer.lineStart e.Buffer.Text e.Buffer.Cursor, e.Buffer.Cursor - TextBuffer.lineStart e.Buffer.Text e.Buffer.Cursor)
            // At a line's begin there is nothing to complete but everything.
            if isBlank line && e.Buffer.Text.Contains '\n' then stay (change (TextBuffer.insert "    ") e)
            else stay (complete services e)
        | Key.BackTab
        | Key.Escape -> stay e
        | Key.Backspace
        | Key.Ctrl 'h' -> stay (change TextBuffer.backspace e)
        | Key.Delete -> stay (change TextBuffer.delete e)
        | Key.Left
        | Key.Ctrl 'b' -> stay (move TextBuffer.left e)
        | Key.Right
        | Key.Ctrl 'f' -> stay (move TextBuffer.right e)
        | Key.WordLeft
        | Key.Alt 'b' -> stay (move TextBuffer.wordLeft e)
        | Key.WordRight
        | Key.Alt 'f' -> stay (move TextBuffer.wordRight e)
        | Key.Home
        | Key.Ctrl 'a' -> stay (move TextBuffer.home e)
        | Key.End
        | Key.Ctrl 'e' -> stay (move TextBuffer.toLineEnd e)
        | Key.Alt '<' -> stay (move TextBuffer.start e)
        | Key.Alt '>' -> stay (move TextBuffer.toEnd e)
        | Key.Up
        | Key.Ctrl 'p' -> stay (if TextBuffer.isOnFirstLine e.Buffer || e.Entry < e.History.Length then earlier e else move TextBuffer.up e)
        | Key.Down
        | Key.Ctrl 'n' -> stay (if TextBuffer.isOnLastLine e.Buffer || e.Entry < e.History.Length then later e else move TextBuffer.down e)
        | Key.PageUp -> stay (earlier e)
        | Key.PageDown -> stay (later e)
        | Key.Ctrl 'k' -> stay (kill TextBuffer.killToEnd e)
        | Key.Ctrl 'u' -> stay (kill TextBuffer.killToStart e)
        | Key.Ctrl 'w'
        | Key.Alt '\b' -> stay (kill TextBuffer.killWordBack e)
        | Key.Alt 'd' -> stay (kill TextBuffer.killWordForward e)
        | Key.Ctrl 'y' -> stay (if e.Killed = "" then e else change (TextBuffer.insert e.Killed) e)
        | Key.Ctrl '_'
        | Key.Ctrl 'z' ->
            match e.Undo with
            | last :: rest -> stay { e with Buffer = last; Undo = rest; Entry = e.History.Length }
            | [] -> stay e
        | Key.Ctrl 'r' -> stay { e with Mode = Mode.Searching("", -1, e.Buffer) }
        | Key.Ctrl 'l' -> e, Action.ClearScreen
        | Key.Ctrl 'c' -> e, Action.Abandon
        | Key.Ctrl 'd' -> if e.Buffer.Text = "" then e, Action.Leave else stay (change TextBuffer.delete e)
        | Key.Alt 'h' -> stay { e with Hint = services.Describe e.Buffer.Text e.Buffer.Cursor }
        | Key.Ctrl _
        | Key.Alt _ -> stay e

    and private choosing services menu e key =
        let done' = { e with Mode = Mode.Editing }
        match key with
        | Key.Tab
        | Key.Down
        | Key.Ctrl 'n' -> choose menu 1 e, Action.Continue
        | Key.BackTab
        | Key.Up
        | Key.Ctrl 'p' -> choose menu -1 e, Action.Continue
        | Key.Enter when menu.Selected >= 0 -> done', Action.Continue
        | Key.Escape
        | Key.Ctrl 'g' -> { done' with Buffer = menu.Before }, Action.Continue
        | key -> editing services done' key

    and private searching services (pattern: string) at before e key =
        let stay e = e, Action.Continue
        match key with
        | Key.Text text ->
            let longer = pattern + text
            stay (found longer (search e.History longer (if at < 0 then e.History.Length else at)) before e)
        | Key.Backspace ->
            let shorter = if pattern = "" then "" else (TextBuffer.backspace (TextBuffer.atEnd pattern)).Text
            stay (found shorter (search e.History shorter e.History.Length) before e)
        | Key.Ctrl 'r' ->
            let next = search e.History pattern ((if at < 0 then e.History.Length else at) - 1)
            stay (if next < 0 then e else found pattern next before e)
        | Key.Ctrl 'g'
        | Key.Ctrl 'c' -> stay { e with Buffer = before; Mode = Mode.Editing }
        | key ->
            let e = { e with Mode = Mode.Editing; Undo = before :: e.Undo }
            match key with
            | Key.Escape -> stay e
            | key -> editing services e key

    /// One input's effect.
    let step (services: EditorServices) (e: Editor) (input: Input) : Editor * Action =
        let closed = e.Closed
        let e = { e with Hint = []; Closed = -1 }
        match input, e.Mode with
        | Input.Key(Key.Text text), (Mode.Editing | Mode.Choosing _) when text.StartsWith '"' && closed = e.Buffer.Cursor ->
            let e = { e with Mode = Mode.Editing }
            (if text.Length = 1 then e else insert (text.Substring 1) e), Action.Continue
        | Input.Closed, _ -> e, Action.Leave
        | Input.Resized, _ -> e, Action.Continue
        | Input.Paste text, _ ->
            // A last line end would only stand in the way of the Enter that follows.
            let text = if text.EndsWith '\n' then text.Substring(0, text.Length - 1) else text
            insert text { e with Mode = Mode.Editing }, Action.Continue
        | Input.Key key, Mode.Editing -> editing services e key
        | Input.Key key, Mode.Choosing menu -> choosing services menu e key
        | Input.Key key, Mode.Searching(pattern, at, before) -> searching services pattern at before e key
