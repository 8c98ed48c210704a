/// From a text literal in its source to where each character of its content stands, so that what is wrong inside it can be shown.
module Tva.Dsl.Syntax.Content

open System
open Tva.Dsl

/// The literal that `fs` is followed by, up to the end of the span.
let private literalIn (text: string) (span: Span) =
    let mutable i = span.Start
    if String.CompareOrdinal(text, i, "fs", 0, 2) = 0 then
        i <- i + 2
    while i < span.End && text[i] <> '"' do
        // A quote inside a comment opens nothing.
        if text[i] = '#' then
            while i < span.End && text[i] <> '\n' do
                i <- i + 1
        else
            i <- i + 1
    i

/// Where the content begins, and the offset in the source of each of its characters and of its end.
let places (source: SourceText) (span: Span) : int[] =
    let text = source.Text
    let start = literalIn text span
    if String.CompareOrdinal(text, start, "\"\"\"", 0, 3) = 0 then
        [| for i in start + 3 .. max (start + 3) (span.End - 3) -> i |]
    else
        let places = ResizeArray<int>()
        let mutable i = start + 1
        let last = span.End - 1
        while i < last do
            if text[i] <> '\\' then
                places.Add i
                i <- i + 1
            elif String.CompareOrdinal(text, i, "\\u{", 0, 3) = 0 && text.IndexOf('}', i) > 0 then
                let close = text.IndexOf('}', i)
                places.Add i
                // What does not fit into one UTF-16 unit takes two.
                if Convert.ToInt32(text.Substring(i + 3, close - i - 3), 16) > 0xFFFF then
                    places.Add i
                i <- close + 1
            else
                places.Add i
                i <- i + 2
        places.Add last
        places.ToArray()
