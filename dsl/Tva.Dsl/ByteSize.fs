/// From a size as people write it to bytes.
module Tva.Dsl.ByteSize

open System
open System.Globalization

/// 500MB, 128MiB, 2G or plain bytes; None for anything else.
let parse (text: string) : int64 option =
    let digits = text.TrimEnd().AsSpan().IndexOfAnyExcept("0123456789.")
    let number, unit = if digits < 0 then text, "" else text.Substring(0, digits), text.Substring(digits).Trim().ToUpperInvariant()
    let factor =
        match unit with
        | "" | "B" -> 1.0
        | "KB" -> 1e3
        | "MB" -> 1e6
        | "GB" -> 1e9
        | "TB" -> 1e12
        | "K" | "KIB" -> 1024.0
        | "M" | "MIB" -> 1048576.0
        | "G" | "GIB" -> 1073741824.0
        | "T" | "TIB" -> 1099511627776.0
        | _ -> nan
    match Double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture) with
    | true, n when n * factor >= 1.0 && n * factor < 9e18 -> Some(int64 (n * factor))
    | _ -> None
