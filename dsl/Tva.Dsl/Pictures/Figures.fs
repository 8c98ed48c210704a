/// From numbers and names to the short texts that a picture has room for, and to round places on an axis.
module Tva.Dsl.Pictures.Figures

open System
open System.Globalization
open System.Text

let private invariant = CultureInfo.InvariantCulture

/// A number in few characters.
let short (v: float) =
    let size = abs v
    if Double.IsNaN v then "–"
    elif Double.IsInfinity v then (if v > 0.0 then "∞" else "−∞")
    elif v = 0.0 then "0"
    elif size >= 1e6 || size < 0.001 then v.ToString("0.#e0", invariant)
    elif size >= 100.0 then v.ToString("0", invariant)
    elif size >= 10.0 then v.ToString("0.#", invariant)
    elif size >= 0.095 then v.ToString("0.##", invariant)
    else v.ToString("0.###", invariant)

/// Three digits, where there is room for them.
let brief (v: float) =
    if not (Double.IsFinite v) || v = 0.0 || abs v >= 1e6 || abs v < 1e-4 then short v
    elif abs v >= 100.0 then v.ToString("0.##", invariant)
    else Double.Parse(v.ToString("G3", invariant), invariant).ToString("0.######", invariant)

/// A number with the digits that it was computed to.
let exact (v: float) =
    if Double.IsNaN v then "not a number" elif Double.IsInfinity v then "infinite" else v.ToString("G6", invariant)

/// A name cut to so many characters; the whole name is told beside it.
let cut most (name: string) =
    let runes = name.EnumerateRunes() |> Array.ofSeq
    if runes.Length <= most then name
    else String.Join("", runes |> Array.truncate (most - 1) |> Array.map string) + "…"

/// About how wide a text is at so many pixels of height, in the widest of the fonts that pictures ask for.
let width (size: float) (text: string) =
    let share (r: Rune) =
        match r.Value with
        | v when v > 0x1100 -> 1.0
        | v when "MWmw@%".Contains(char v) -> 1.0
        | v when "iljtfr.,:;'|!()[] ".Contains(char v) -> 0.41
        | _ when Rune.IsUpper r || Rune.IsDigit r -> 0.7
        | _ -> 0.63
    size * (text.EnumerateRunes() |> Seq.sumBy share)

/// The same of a picture's title, which is bold.
let titleWidth (text: string) = 1.15 * width 14.0 text

/// A column or row title as a number.
let number (text: string) =
    match Double.TryParse(text, NumberStyles.Float, invariant) with
    | true, v when Double.IsFinite v -> Some v
    | _ -> None

/// Some five round numbers that cover the range.
let ticks (low: float) (high: float) =
    let span = if high > low then high - low else max (abs high) 1.0
    let rough = span / 5.0
    let power = 10.0 ** floor (log10 rough)
    let step = [ 1.0; 2.0; 2.5; 5.0; 10.0 ] |> List.map ((*) power) |> List.find (fun s -> s >= rough * 0.999)
    let first, last = floor (low / step + 1e-9), ceil (high / step - 1e-9)
    [ for i in first .. last -> Math.Round(i * step, 12) + 0.0 ]
