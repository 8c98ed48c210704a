/// From values to the text that people read: numbers, sizes, aligned columns, cards.
module Tva.Format

open System
open System.Globalization
open System.Text
open Tva.Dsl

let private invariant = CultureInfo.InvariantCulture

/// Seven significant digits; an integer in full.
let number (v: float) =
    if Double.IsNaN v then "nan"
    elif Double.IsPositiveInfinity v then "inf"
    elif Double.IsNegativeInfinity v then "-inf"
    elif v = 0.0 then "0"
    elif v = Math.Floor v && abs v < 1e15 then v.ToString("F0", invariant)
    else v.ToString("G7", invariant).Replace("E", "e")

/// 0.02 s, 12 s, 3 min 20 s, 2 h 05 min.
let time (t: TimeSpan) =
    let s = t.TotalSeconds
    if s < 9.995 then s.ToString("0.00", invariant) + " s"
    elif s < 59.5 then s.ToString("0", invariant) + " s"
    else
        let whole = TimeSpan.FromSeconds(Math.Round s)
        if whole.TotalHours < 1.0 then $"{whole.Minutes} min {whole.Seconds:D2} s"
        else $"{int whole.TotalHours} h {whole.Minutes:D2} min"

/// Text from a file nobody vouches for, fit for a terminal: no control codes, no marks that reorder what is shown.
let printable (text: string) =
    let odd (c: char) = Char.IsControl c || Char.GetUnicodeCategory c = UnicodeCategory.Format
    if text |> Seq.exists odd then String.map (fun c -> if odd c then '\uFFFD' else c) text else text

/// Rows of equal length as aligned columns, two blanks between them; `right` says which columns are numbers.
let columns (right: bool list) (rows: string list list) =
    let widths = [ for i in 0 .. right.Length - 1 -> rows |> List.map (fun r -> r[i].Length) |> List.max ]
    let line (row: string list) =
        let cells = List.map3 (fun (cell: string) (width: int) r -> if r then cell.PadLeft width else cell.PadRight width) row widths right
        String.Join("  ", cells).TrimEnd()
    rows |> List.map line

/// What an adapter's modules have lost, the worst first; the rest are many and alike.
let truncated (modules: (string * int * float) list) =
    let most = 10
    let worst = modules |> List.sortBy (fun (name, _, error) -> -error, name)
    let error (v: float) = v.ToString("0.#####", invariant)
    let rows = [ for name, rank, lost in List.truncate most worst -> [ "  " + printable name; string rank; error lost ] ]
    let rest = if worst.Length > most then [ $"  and {worst.Length - most} more, each off by at most {error (let _, _, e = worst[most] in e)}" ] else []
    String.Join("\n", columns [ false; true; true ] ([ "  module"; "rank"; "relative error" ] :: rows) @ rest)

let private cells (t: ResultTable) =
    // Rows may have no names, as those of a sweep.
    let unnamed = t.Rows |> List.forall (fun (name, _) -> name = "")
    let header = "" :: (t.Columns |> List.map printable)
    let rows = [ for name, values in t.Rows -> printable name :: (values |> List.map number) ]
    match t.Columns with
    | _ when unnamed -> columns (t.Columns |> List.map (fun _ -> true)) (List.map List.tail (header :: rows))
    // One column needs no head.
    | [ "value" ] -> columns [ false; true ] rows
    | _ -> columns (false :: (t.Columns |> List.map (fun _ -> true))) (header :: rows)

let private table (t: ResultTable) =
    cells t @ (if t.Summary.IsEmpty then [] else columns [ false; true ] [ for name, value in t.Summary -> [ printable name; number value ] ])

/// Words and numbers under their heads; a column that holds nothing but numbers is set to the right.
let private findings (f: Findings) =
    let text cell = match cell with Cell.Word w -> printable w | Cell.Figure v -> number v | Cell.Blank -> ""
    let isFigures i = f.Rows |> List.forall (fun row -> not (List.item i row).IsWord)
    columns (f.Columns |> List.mapi (fun i _ -> isFigures i)) (List.map printable f.Columns :: [ for row in f.Rows -> List.map text row ])

let private card (title: string) facts =
    printable title
    :: (match facts with
        | [] -> []
        | _ -> columns [ false; false ] [ for name, value in facts -> [ "  " + printable name; printable value ] ])

/// A value on one line, if it has such a form.
let rec private inl shown =
    match shown with
    | Shown.Text t -> Some t
    | Shown.Number v -> Some(number v)
    | Shown.Truth b -> Some(if b then "true" else "false")
    | Shown.List items ->
        let parts = items |> List.map inl
        if parts |> List.forall Option.isSome then
            Some("[" + String.Join(", ", parts |> List.map Option.get) + "]")
        else
            None
    | Shown.Table _
    | Shown.Findings _
    | Shown.Card _ -> None

let rec private lines shown =
    match shown with
    | Shown.Table t -> table t
    | Shown.Findings f -> findings f
    | Shown.Card(title, facts) -> card title facts
    | Shown.List items when (inl shown).IsNone -> items |> List.collect lines
    | _ -> [ (inl shown).Value ]

/// The items of one `print`: those of one line side by side, tables and cards below each other.
let items (shown: Shown list) =
    let text = StringBuilder()
    let mutable side = false
    for item in shown do
        match inl item with
        | Some one ->
            text.Append(if side then " " else "").Append(one) |> ignore
            side <- true
        | None ->
            if side then
                text.Append '\n' |> ignore
            side <- false
            for line in lines item do
                text.Append(line).Append('\n') |> ignore
    if side || shown.IsEmpty then
        text.Append '\n' |> ignore
    text.ToString()
