/// What a script's text is and where things stand in it.
namespace Tva.Dsl

open System

/// A half-open range of UTF-16 offsets in one source text. `Source` is the text's number among those read (includes, prelude).
[<Struct>]
type Span =
    { Source: int
      Start: int
      End: int }

    /// The smallest span that holds both.
    static member Between(a: Span, b: Span) =
        { Source = a.Source; Start = min a.Start b.Start; End = max a.End b.End }

    /// Nowhere: for what has no text.
    static member None = { Source = -1; Start = 0; End = 0 }

/// One text with its name as shown in diagnostics (a path as the user gave it, or `<eval>`), and the folder its paths are relative to.
type SourceText =
    { Number: int
      Name: string
      Folder: string
      Text: string }

    /// Line and column, from 1, of an offset.
    member this.Position(offset: int) =
        let offset = max 0 (min offset this.Text.Length)
        let before = this.Text.AsSpan(0, offset)
        let line = before.Count('\n') + 1
        let column = offset - (before.LastIndexOf('\n') + 1) + 1
        struct (line, column)

    /// The text of a line, from 1, without its end.
    member this.Line(number: int) =
        let lines = this.Text.Split('\n')
        if number >= 1 && number <= lines.Length then lines[number - 1].TrimEnd('\r') else ""
