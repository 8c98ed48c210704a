/// Between offsets of a text and the lines and columns that editors count: from 0, columns in UTF-16 units.
module Tva.Lsp.Position

open System

/// A place as the protocol has it.
type Place = { line: int; character: int }

type Range = { start: Place; ``end``: Place }

/// Whether a line ends behind this character: LF, CR LF, or CR alone.
let private ends (text: string) (i: int) = text[i] = '\n' || text[i] = '\r' && not (i + 1 < text.Length && text[i + 1] = '\n')

/// A place between CR and LF is before both.
let ofOffset (text: string) (offset: int) : Place =
    let offset = Math.Clamp(offset, 0, text.Length)
    let offset = if offset > 0 && offset < text.Length && text[offset - 1] = '\r' && text[offset] = '\n' then offset - 1 else offset
    let mutable line, start = 0, 0
    for i in 0 .. offset - 1 do
        if ends text i then
            line <- line + 1
            start <- i + 1
    { line = line; character = offset - start }

/// The offset of a place; one beyond its line is at the line's end, one beyond the text at the text's.
let toOffset (text: string) (line: int) (character: int) : int =
    let mutable i = 0
    let mutable left = max 0 line
    while left > 0 && i < text.Length do
        if ends text i then
            left <- left - 1
        i <- i + 1
    let mutable finish = i
    while finish < text.Length && text[finish] <> '\n' && text[finish] <> '\r' do
        finish <- finish + 1
    if left > 0 then text.Length else i + Math.Clamp(character, 0, finish - i)

let range (text: string) (first: int) (last: int) : Range = { start = ofOffset text first; ``end`` = ofOffset text last }
