/// What a script's text is and where things stand in it.
namespace Tva.Dsl

open System

/// A half-open range of UTF-16 offsets in one source text.
[<Struct>]
type Span =
    { Source: int
      Start: int
      End: int }

    static member Between(a: Span, b: Span) = { Source = a.Source; Start = min a.Start b.Start; End = max a.End b.End }
