/// Between offsets of a text and the lines and columns that editors count: from 0, columns in UTF-16 units.
module Tva.Lsp.Position

open System

/// A place as the protocol has it.
type Place = { line: int; character: int }

type Range = { start: Place; ``end``: Place }

let ofOffset (text: string) (offset: int) : Place =
    let offset = Math.Clamp(offset, 0, text.Length)
    let before = text.AsSpan(0, offset)
    { line = before.Count('\n'); character = offset - (before.LastIndexOf('\n') + 1) }

/// The offset of a place; one beyond its line is at the line's end, one beyond the text at the text's.
let toOffset (text: string) (line: int) (character: int) : int =
    let mutable start = 0
    let mutable left = max 0 line
    while left > 0 && start < text.Length do
        match text.IndexOf('\n', start) with
        | -1 -> start <- text.Length
        | i -> start <- i + 1
        left <- left - 1
    let finish =
        match text.IndexOf('\n', start) with
        | -1 -> text.Length
        | i -> if i > start && text[i - 1] = '\r' then i - 1 else i
    min finish (start + max 0 character)

let range (text: string) (first: int) (last: int) : Range = { start = ofOffset text first; ``end`` = ofOffset text last }
