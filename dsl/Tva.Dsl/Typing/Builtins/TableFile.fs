/// A file of comma-separated values comes in, a table of numbers goes out, or where it is wrong.
module internal Tva.Dsl.Typing.Builtins.TableFile

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Text

/// More than this is no table that anyone reads.
let private mostBytes = 16L <<< 20

/// What is wrong, and on which line.
exception Wrong of line: int * what: string

/// The cells of each line that is not empty; a cell in quotes may hold commas, and quotes twice.
let private lines (text: string) =
    [ let mutable number = 0
      for line in text.Split '\n' do
          number <- number + 1
          let line = line.TrimEnd '\r'
          if line.Trim() <> "" then
              let cells = List<string>()
              let cell = StringBuilder()
              let mutable quoted = false
              let mutable i = 0
              while i < line.Length do
                  match line[i] with
                  | '"' when quoted && i + 1 < line.Length && line[i + 1] = '"' ->
                      cell.Append '"' |> ignore
                      i <- i + 1
                  | '"' -> quoted <- not quoted
                  | ',' when not quoted ->
                      cells.Add(cell.ToString())
                      cell.Clear() |> ignore
                  | c -> cell.Append c |> ignore
                  i <- i + 1
              if quoted then
                  raise (Wrong(number, "a quoted cell has no end"))
              cells.Add(cell.ToString())
              number, List.ofSeq cells ]

/// An empty cell is NaN: nothing was measured there.
let private number line column (cell: string) =
    match cell.Trim().ToLowerInvariant() with
    | ""
    | "nan" -> nan
    | "inf" -> infinity
    | "-inf" -> -infinity
    | text ->
        match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, v -> v
        | _ -> raise (Wrong(line, $"\"{cell.Trim()}\" under \"{column}\" is no number"))

/// Titles of the columns, and rows with their labels. Wrong, IOException or UnauthorizedAccessException where it can't be read.
let read (path: string) : string list * (string * float list) list =
    let bytes =
        use stream = File.OpenRead path
        if stream.Length > mostBytes then
            raise (Wrong(1, "is larger than 16 MiB, which no table of a script is"))
        let bytes = Array.zeroCreate<byte> (int stream.Length)
        stream.ReadExactly bytes
        bytes
    let text =
        try
            UTF8Encoding(false, true).GetString(bytes).TrimStart '\uFEFF'
        with :? DecoderFallbackException ->
            raise (Wrong(1, "is no text in UTF-8"))
    match lines text with
    | []
    | [ _ ] -> raise (Wrong(1, "has no rows of numbers"))
    | (line, [ _ ]) :: _ -> raise (Wrong(line, "has no columns of numbers"))
    | (_, _ :: titles) :: rows ->
        let titles = titles |> List.map _.Trim()
        titles,
        [ for line, cells in rows do
              if cells.Length <> titles.Length + 1 then
                  raise (Wrong(line, $"has {cells.Length} cells, and the first line {titles.Length + 1}"))
              cells.Head.Trim(), List.map2 (number line) titles cells.Tail ]
    | (line, []) :: _ -> raise (Wrong(line, "has no columns of numbers"))
