/// A table of words and numbers, as advice and reports are told: plain values, without a look.
namespace Tva.Dsl

[<RequireQualifiedAccess>]
type Cell =
    | Word of string
    | Figure of float
    | Blank

type Findings =
    { Columns: string list
      /// As many cells as columns.
      Rows: Cell list list }
