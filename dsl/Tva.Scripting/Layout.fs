/// From pieces of F# to one text for the compiler and back: where each character of the text stands in its piece.
module Tva.Scripting.Layout

open System
open Tva.Dsl.Typing

/// A piece as the compiler gets it: its lines moved left together as far as they go, so that a piece may stand anywhere in a script.
type Piece =
    { Number: int
      Source: string
      /// Lines as compiled.
      Lines: string[]
      /// For each line: the offset in the source that column 0 of the compiled line stands for; negative where the line was padded.
      Starts: int[] }

let private isBlank (line: string) = String.IsNullOrWhiteSpace line

let private indent (line: string) = line.Length - line.TrimStart(' ').Length

let piece (number: int) (code: FSharpCode) : Piece =
    let lines = code.Text.Split('\n')
    let starts = Array.scan (fun at (line: string) -> at + line.Length + 1) 0 lines |> Array.truncate lines.Length
    let lines = lines |> Array.map _.TrimEnd('\r')
    let others = lines |> Array.skip 1 |> Array.filter (isBlank >> not)
    // The first line begins where the text opens: `fs """let a = 1` with the next lines below the `let` is one column of lets.
    let first = if isBlank lines[0] || (others.Length > 0 && others |> Array.exists (fun l -> indent l < code.Column)) then 0 else code.Column
    let padded = Array.append [| (if isBlank lines[0] then "" else String(' ', first) + lines[0]) |] (Array.skip 1 lines)
    let starts = starts |> Array.mapi (fun i s -> if i = 0 && not (isBlank lines[0]) then s - first else s)
    let whole = padded |> Array.filter (isBlank >> not)
    let left = if whole.Length = 0 then 0 else whole |> Array.map indent |> Array.min
    // Where the first line is further left than the rest, the rest keeps its distance from it.
    { Number = number
      Source = code.Text
      Lines = padded |> Array.map (fun l -> if l.Length >= left then l.Substring left else "")
      Starts = starts |> Array.map (fun s -> s + left) }

let text (p: Piece) = String.Join("\n", p.Lines)

/// The offset in the piece's source of a line (from 0) and column (from 0) of its compiled text.
let offset (p: Piece) line column =
    if line < 0 then 0
    elif line >= p.Lines.Length then p.Source.Length
    else Math.Clamp(p.Starts[line] + column, 0, p.Source.Length)

/// A text made of several pieces, each on lines of its own.
type Composed() =
    let lines = ResizeArray<string>()
    let places = ResizeArray<struct (Piece * int * int) voption>()

    /// Lines of ours.
    member _.Add(line: string) =
        lines.Add line
        places.Add ValueNone

    member _.Add(p: Piece, indent: int) =
        p.Lines
        |> Array.iteri (fun i line ->
            lines.Add(if line = "" then "" else String(' ', indent) + line)
            places.Add(ValueSome(struct (p, i, indent))))

    member _.Text = String.Join("\n", lines)

    /// The piece and offset in it of a line (from 1) and column (from 0); none where the line is ours.
    member _.Find(line: int, column: int) : struct (int * int) voption =
        if line < 1 || line > places.Count then ValueNone
        else
            match places[line - 1] with
            | ValueSome(struct (p, i, indent)) -> ValueSome(struct (p.Number, offset p i (column - indent)))
            | ValueNone -> ValueNone
