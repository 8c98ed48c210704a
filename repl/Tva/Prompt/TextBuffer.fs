/// A text being edited with its cursor: what each movement and each change makes of it.
namespace Tva.Prompt

open System
open System.Globalization

[<Struct>]
type TextBuffer =
    { Text: string
      /// Offset in UTF-16 units, between characters.
      Cursor: int }

module TextBuffer =

    let empty = { Text = ""; Cursor = 0 }

    let atEnd (text: string) = { Text = text; Cursor = text.Length }

    let lineStart (text: string) (at: int) = if at = 0 then 0 else text.LastIndexOf('\n', at - 1) + 1

    let lineEnd (text: string) (at: int) =
        match text.IndexOf('\n', at) with
        | -1 -> text.Length
        | i -> i

    let private next (text: string) at =
        if at >= text.Length then text.Length
        else at + StringInfo.GetNextTextElementLength(text.AsSpan at)

    let private previous (text: string) at =
        if at <= 0 then 0
        elif text[at - 1] = '\n' then at - 1
        else
            // Characters may have several parts, so they are counted from the front; far enough is a little before.
            let mutable i = max (lineStart text at) (at - 64)
            let mutable before = i
            while i < at do
                before <- i
                i <- next text i
            before

    let private isWord (c: char) = Char.IsLetterOrDigit c || c = '_' || Char.IsSurrogate c

    let private wordEnd (text: string) at =
        let mutable i = at
        while i < text.Length && not (isWord text[i]) do
            i <- i + 1
        while i < text.Length && isWord text[i] do
            i <- i + 1
        i

    let private wordStart (text: string) at =
        let mutable i = at
        while i > 0 && not (isWord text[i - 1]) do
            i <- i - 1
        while i > 0 && isWord text[i - 1] do
            i <- i - 1
        i

    let insert (piece: string) b = { Text = b.Text.Insert(b.Cursor, piece); Cursor = b.Cursor + piece.Length }

    /// The text between two places replaced; the cursor stands behind it.
    let replace first last (piece: string) b =
        { Text = b.Text.Substring(0, first) + piece + b.Text.Substring last; Cursor = first + piece.Length }

    let left b = { b with Cursor = previous b.Text b.Cursor }
    let right b = { b with Cursor = next b.Text b.Cursor }
    let wordLeft b = { b with Cursor = wordStart b.Text b.Cursor }
    let wordRight b = { b with Cursor = wordEnd b.Text b.Cursor }
    let home b = { b with Cursor = lineStart b.Text b.Cursor }
    let toLineEnd b = { b with Cursor = lineEnd b.Text b.Cursor }
    let start b = { b with Cursor = 0 }
    let toEnd b = { b with Cursor = b.Text.Length }

    let isOnFirstLine b = lineStart b.Text b.Cursor = 0
    let isOnLastLine b = lineEnd b.Text b.Cursor = b.Text.Length

    /// To the same column of the line above or below.
    let up b =
        let start = lineStart b.Text b.Cursor
        if start = 0 then b
        else
            let above = lineStart b.Text (start - 1)
            { b with Cursor = min (above + b.Cursor - start) (start - 1) }

    let down b =
        let finish = lineEnd b.Text b.Cursor
        if finish = b.Text.Length then b
        else
            let column = b.Cursor - lineStart b.Text b.Cursor
            { b with Cursor = min (finish + 1 + column) (lineEnd b.Text (finish + 1)) }

    /// Without what lies between the cursor and another place, and what that was.
    let private cut other b =
        let first, last = min b.Cursor other, max b.Cursor other
        replace first last "" b, b.Text.Substring(first, last - first)

    let backspace b = fst (cut (previous b.Text b.Cursor) b)
    let delete b = fst (cut (next b.Text b.Cursor) b)

    /// To the line's end; the line end itself where the cursor is there.
    let killToEnd b =
        let finish = lineEnd b.Text b.Cursor
        cut (if finish = b.Cursor then min b.Text.Length (finish + 1) else finish) b

    let killToStart b =
        let start = lineStart b.Text b.Cursor
        cut (if start = b.Cursor then max 0 (start - 1) else start) b

    let killWordBack b = cut (wordStart b.Text b.Cursor) b
    let killWordForward b = cut (wordEnd b.Text b.Cursor) b
