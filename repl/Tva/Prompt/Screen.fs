/// Draws an editor's state below what is printed already: from a state to rows, and from rows to what the terminal is sent.
namespace Tva.Prompt

open System
open System.Globalization
open System.Text
open Tva.Dsl
open Tva.Dsl.Services

/// Rows with their colours, and where the cursor stands in them.
type Picture = { Rows: string list; Row: int; Column: int }

module Picture =

    let private esc = "\u001b["

    let private colorOf (c: TokenClass) =
        match c with
        | TokenClass.Keyword -> "35"
        | TokenClass.Number -> "36"
        | TokenClass.Text -> "32"
        | TokenClass.Comment -> "90"
        | TokenClass.Function -> "34"
        | TokenClass.Option -> "33"
        | TokenClass.Type -> "36"
        | TokenClass.Invalid -> "31"
        | TokenClass.Name
        | TokenClass.Member
        | TokenClass.Symbol -> ""

    let paint color codes (text: string) = if color && codes <> "" then $"{esc}{codes}m{text}{esc}0m" else text

    /// Longer texts are not coloured: nobody waits for it.
    let private mostColored = 100_000

    /// What is far from the cursor is not on the screen anyhow.
    let private window height (b: TextBuffer) =
        let mutable first = b.Cursor
        let mutable lines = 0
        while first > 0 && lines < height && b.Cursor - first < 20_000 do
            first <- first - 1
            if first > 0 && b.Text[first - 1] = '\n' then
                lines <- lines + 1
        let mutable last = b.Cursor
        lines <- 0
        while last < b.Text.Length && lines < height && last - b.Cursor < 20_000 do
            if b.Text[last] = '\n' then
                lines <- lines + 1
            last <- last + 1
        // A pair is not cut in two.
        let first = if first > 0 && first < b.Text.Length && Char.IsLowSurrogate b.Text[first] then first - 1 else first
        struct (first, last)

    /// The text under its prompts, wrapped at the width.
    let private text (color: bool) (classify: string -> Classified[]) (width: int) (height: int) (prompt: string) (more: string) (b: TextBuffer) : Picture =
        let struct (first, last) = window height b
        let classes = if color && b.Text.Length <= mostColored then classify b.Text else [||]
        let mutable at = 0
        let rows = ResizeArray<string>()
        let row = StringBuilder()
        let mutable column = 0
        let mutable cursorRow, cursorColumn = 0, 0
        let mutable tone = ""
        let begin' (lead: string) =
            row.Append(paint color "1;34" lead) |> ignore
            column <- Render.width lead
        let finish () =
            if tone <> "" then
                row.Append($"{esc}0m") |> ignore
            rows.Add(row.ToString())
            row.Clear() |> ignore
            column <- 0
            if tone <> "" then
                row.Append($"{esc}{tone}m") |> ignore
        begin' (if first = 0 then prompt else more)
        let mutable i = first
        while i <= last do
            if i = b.Cursor then
                if column >= width then
                    finish ()
                cursorRow <- rows.Count
                cursorColumn <- column
            if i = last then i <- last + 1
            elif b.Text[i] = '\n' then
                if tone <> "" then
                    row.Append($"{esc}0m") |> ignore
                    tone <- ""
                finish ()
                begin' more
                i <- i + 1
            else
                while at < classes.Length && classes[at].End <= i do
                    at <- at + 1
                let wanted = if at < classes.Length && classes[at].Start <= i then colorOf classes[at].Class else ""
                if wanted <> tone then
                    row.Append(if wanted = "" then $"{esc}0m" else $"{esc}0m{esc}{wanted}m") |> ignore
                    tone <- wanted
                let n = StringInfo.GetNextTextElementLength(b.Text.AsSpan i)
                let shown = if b.Text[i] = '\t' then "    " else Render.printable (b.Text.Substring(i, n))
                let cells = Render.width shown
                if column + cells > width then
                    finish ()
                row.Append shown |> ignore
                column <- column + cells
                // A cursor inside a character that has several parts stands before it.
                if b.Cursor > i && b.Cursor < i + n then
                    cursorRow <- rows.Count
                    cursorColumn <- max 0 (column - cells)
                i <- i + n
        finish ()
        { Rows = List.ofSeq rows; Row = cursorRow; Column = min cursorColumn (width - 1) }

    /// Cut at a number of columns.
    let fit (width: int) (text: string) =
        let text = Render.printable (text.Replace('\n', ' '))
        if Render.width text <= width then text
        else
            let mutable used = 0
            let kept = text.EnumerateRunes() |> Seq.takeWhile (fun r -> used <- used + Render.width (string r); used < width) |> Seq.map string
            String.Concat kept

    /// Words on as many lines as they take.
    let wrap (width: int) (text: string) : string list =
        let lines = ResizeArray [ "" ]
        for word in text.Split ' ' do
            let last = lines[lines.Count - 1]
            if last <> "" && Render.width last + 1 + Render.width word > width then lines.Add word
            else lines[lines.Count - 1] <- (if last = "" then word else last + " " + word)
        List.ofSeq lines

    let private menu color width (m: Menu) =
        let all = m.Completion.Candidates
        let most = 8
        let from = if m.Selected < 0 then 0 else (m.Selected / most) * most
        let page = all |> List.skip from |> List.truncate most
        let wide = page |> List.map (fun c -> Render.width c.Text) |> List.max |> min (width / 2)
        [ for i, c in List.indexed page do
              let name = fit wide c.Text
              let name = name + String(' ', max 0 (wide - Render.width name))
              let detail = fit (max 0 (width - wide - 5)) c.Detail
              if from + i = m.Selected then paint color "7" $"  {name}" + (if color then "" else " <") + "  " + paint color "90" detail
              else $"  {name}  " + paint color "90" detail
          if all.Length > most then
              paint color "90" $"  {from + 1} to {from + page.Length} of {all.Length}" ]

    let draw (color: bool) (classify: string -> Classified[]) (width: int) (height: int) (prompt: string) (more: string) (e: Editor) : Picture =
        let width = max (Render.width prompt + 2) width
        let prompt = match e.Mode with Mode.Searching _ -> "  find " | _ -> prompt
        let body = text color classify width height prompt more e.Buffer
        // As many rows as fit, around the cursor.
        let room = max 1 (height - 1)
        let skip = max 0 (min (body.Row - room / 2) (body.Rows.Length - room))
        let rows = body.Rows |> List.skip skip |> List.truncate room
        let left = max 0 (height - 1 - rows.Length)
        let below =
            match e.Mode with
            | Mode.Choosing m -> menu color width m
            | Mode.Searching(pattern, found, _) ->
                let shown = if pattern <> "" && found < 0 then $"not found: {pattern}" else $"search: {pattern}"
                [ paint color "90" (fit (width - 1) shown) ]
            | Mode.Editing ->
                e.Hint
                |> List.collect (wrap (max 20 (width - 4)))
                |> List.truncate 8
                |> List.map (fun l -> paint color "90" (fit (width - 1) ("  " + l)))
        { Rows = rows @ List.truncate left below; Row = body.Row - skip; Column = body.Column }

/// What has been drawn, so that it can be drawn over.
type Screen(terminal: ITerminal) =
    let mutable row = 0

    let esc = "\u001b["

    let toTop () = "\r" + (if row > 0 then $"{esc}{row}A" else "")

    /// Draws over what was drawn before.
    member _.Draw(p: Picture) =
        let lines = String.Join("\n", p.Rows)
        let up = p.Rows.Length - 1 - p.Row
        let place = (if up > 0 then $"{esc}{up}A" else "") + "\r" + (if p.Column > 0 then $"{esc}{p.Column}C" else "")
        terminal.Write($"{esc}?25l{toTop ()}{esc}J{lines}{place}{esc}?25h")
        row <- p.Row

    /// Leaves the picture as it is and goes below it.
    member this.Leave(p: Picture) =
        this.Draw p
        let down = p.Rows.Length - 1 - p.Row
        terminal.Write((if down > 0 then $"{esc}{down}B" else "") + "\r\n")
        row <- 0

    member _.Clear() =
        terminal.Write($"{esc}H{esc}2J")
        row <- 0
