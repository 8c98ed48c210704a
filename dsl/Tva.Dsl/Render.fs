/// From diagnostics to the text a person reads: place, message, the line with carets under it, help.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.Globalization
open System.Text

module Render =

    /// A longer source line is cut around the carets.
    [<Literal>]
    let MaxColumns = 160

    let private esc = "\u001b["

    /// What a terminal must not be sent, from a text that anyone may have written: escapes, and marks that reorder what is shown.
    let private shown (rune: Rune) =
        if rune.Value < 0x20 then Rune(0x2400 + rune.Value)
        elif Rune.IsControl rune || Rune.GetUnicodeCategory rune = UnicodeCategory.Format then Rune.ReplacementChar
        else rune

    let private clean (text: string) =
        let out = StringBuilder()
        for rune in text.EnumerateRunes() do
            out.Append(if rune.Value = int '\n' then "\n" else (shown rune).ToString()) |> ignore
        out.ToString()

    /// Roughly: East Asian wide characters and emoji take two columns, combining marks none.
    let private columns (rune: Rune) =
        let v = rune.Value
        match Rune.GetUnicodeCategory rune with
        | UnicodeCategory.NonSpacingMark
        | UnicodeCategory.EnclosingMark -> 0
        | _ ->
            if
                (v >= 0x1100 && v <= 0x115F)
                || (v >= 0x2E80 && v <= 0xA4CF && v <> 0x303F)
                || (v >= 0xAC00 && v <= 0xD7A3)
                || (v >= 0xF900 && v <= 0xFAFF)
                || (v >= 0xFE30 && v <= 0xFE6F)
                || (v >= 0xFF00 && v <= 0xFF60)
                || (v >= 0xFFE0 && v <= 0xFFE6)
                || (v >= 0x1F300 && v <= 0x1FAFF)
                || (v >= 0x20000 && v <= 0x3FFFD)
            then
                2
            else
                1

    /// Columns that a text without line ends takes on a terminal.
    let width (text: string) =
        let mutable n = 0
        for rune in text.EnumerateRunes() do
            n <- n + columns rune
        n

    /// A text as a terminal may be sent it.
    let printable (text: string) = clean text

    /// The line as shown, with tabs to every fourth column, one cell per column (a wide character's second is empty), and
    /// the column at which each of the line's UTF-16 offsets begins.
    let private layout (line: string) =
        let cells = ResizeArray<string>()
        let starts = Array.zeroCreate (line.Length + 1)
        let mutable offset = 0
        for rune in line.EnumerateRunes() do
            let length = rune.Utf16SequenceLength
            for i in offset .. min (line.Length - 1) (offset + length - 1) do
                starts[i] <- cells.Count
            offset <- offset + length
            if rune.Value = int '\t' then
                for _ in cells.Count .. (cells.Count / 4 * 4 + 3) do
                    cells.Add " "
            else
                match columns rune with
                | 0 when cells.Count > 0 -> cells[cells.Count - 1] <- cells[cells.Count - 1] + rune.ToString()
                | width ->
                    cells.Add((shown rune).ToString())
                    if width = 2 then
                        cells.Add ""
        starts[line.Length] <- cells.Count
        cells, starts

    let private lineAround (source: SourceText) (offset: int) =
        let text = source.Text
        let start = if offset = 0 then 0 else text.LastIndexOf('\n', offset - 1) + 1
        let finish = text.IndexOf('\n', offset)
        let finish = if finish < 0 then text.Length else finish
        struct (start, text.Substring(start, finish - start).TrimEnd '\r')

    /// The source line and the carets under it, both at most `MaxColumns` wide.
    let private excerpt (source: SourceText) (span: Span) =
        let first = Math.Clamp(span.Start, 0, source.Text.Length)
        let struct (start, line) = lineAround source first
        let cells, starts = layout line
        let column offset = starts[Math.Clamp(offset - start, 0, line.Length)]
        let from = column first
        let till = max (from + 1) (column span.End)
        if cells.Count <= MaxColumns then
            String.Concat cells, String(' ', from) + String('^', till - from)
        else
            let room = MaxColumns - 6
            // A third of the room stays in front of the caret.
            let left = Math.Clamp(from - room / 3, 0, max 0 (cells.Count - room))
            let right = min cells.Count (left + room)
            let lead = if left > 0 then "..." else ""
            let trail = if right < cells.Count then "..." else ""
            // A wide character is not cut in two.
            let body = [ for i in left .. right - 1 -> if i = left && cells[i] = "" then " " else cells[i] ]
            let carets = max 1 (min till right - from)
            lead + String.Concat body + trail, String(' ', lead.Length + from - left) + String('^', carets)

    /// One diagnostic, without a line end behind it. `sources` finds a text by its number.
    let diagnostic (sources: int -> SourceText option) (color: bool) (d: Diagnostic) : string =
        let paint (codes: string) (text: string) = if color then $"{esc}{codes}m{text}{esc}0m" else text
        let severity, tone =
            match d.Severity with
            | Error -> "error", "1;31"
            | Warning -> "warning", "1;33"
        let head = paint tone $"{severity} {d.Code}:" + " " + clean d.Message
        let out = StringBuilder()
        match sources d.Span.Source with
        | None -> out.Append head |> ignore
        | Some source ->
            let struct (line, column) = source.Position d.Span.Start
            let number = string line
            let text, carets = excerpt source d.Span
            let place = paint "1" $"{clean source.Name}:{line}:{column}:"
            out
                .Append(place).Append(' ').Append(head)
                .Append($"\n  {number} | {text}".TrimEnd ' ')
                .Append($"\n  {String(' ', number.Length)} | ")
                .Append(String(' ', carets.Length - carets.TrimStart(' ').Length))
                .Append(paint tone (carets.TrimStart ' '))
            |> ignore
        match d.Help with
        | Some help ->
            let text = (clean help).Replace("\n", "\n        ")
            out.Append("\n  ").Append(paint "36" "help:").Append(' ').Append(text) |> ignore
        | None -> ()
        out.ToString()

    /// What says how to allow something is said with the first that needs it.
    let private helpOnce (found: Diagnostic list) =
        let said = HashSet<string>()
        [ for d in found ->
              match d.Help with
              | Some help when d.Code = Diagnostics.PermissionCode && not (said.Add help) -> { d with Help = None }
              | _ -> d ]

    /// All of them, by text and place, each followed by a line end.
    let diagnostics (sources: SourceText list) (color: bool) (found: Diagnostic seq) : string =
        let lookup number = sources |> List.tryFind (fun s -> s.Number = number)
        found
        |> Seq.sortBy (fun d -> d.Span.Source, d.Span.Start, d.Span.End)
        |> List.ofSeq
        |> helpOnce
        |> Seq.map (fun d -> diagnostic lookup color d + "\n")
        |> String.concat ""
