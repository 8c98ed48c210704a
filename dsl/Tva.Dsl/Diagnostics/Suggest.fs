/// From a word nobody knows to those that were meant, and from names to a list of them for a message.
namespace Tva.Dsl

open System

/// Near misses, for help lines.
module Suggest =

    /// Edits (insert, delete, replace, swap neighbours) between two words.
    let distance (a: string) (b: string) =
        let d = Array2D.zeroCreate (a.Length + 1) (b.Length + 1)
        for i in 0 .. a.Length do
            d[i, 0] <- i
        for j in 0 .. b.Length do
            d[0, j] <- j
        for i in 1 .. a.Length do
            for j in 1 .. b.Length do
                let cost = if a[i - 1] = b[j - 1] then 0 else 1
                d[i, j] <- min (min (d[i - 1, j] + 1) (d[i, j - 1] + 1)) (d[i - 1, j - 1] + cost)
                if i > 1 && j > 1 && a[i - 1] = b[j - 2] && a[i - 2] = b[j - 1] then
                    d[i, j] <- min d[i, j] (d[i - 2, j - 2] + 1)
        d[a.Length, b.Length]

    /// The closest of `known` where they are close enough to be meant: one as a rule, a few that are as close as each other.
    let closest (word: string) (known: string seq) =
        let scored = [ for k in Seq.distinct known -> distance (word.ToLowerInvariant()) (k.ToLowerInvariant()), k ]
        match scored with
        | [] -> []
        | _ ->
            let least = scored |> List.map fst |> List.min
            // Of one letter nothing is left when it is changed.
            if least <= max 1 (word.Length / 3) && least < word.Length then
                scored |> List.filter (fun (d, _) -> d = least) |> List.map snd |> List.truncate 3
            else
                []

    /// The first of those.
    let nearest (word: string) (known: string seq) = closest word known |> List.tryHead

    /// `did you mean a, b or c?` of what is close, each shown in its way.
    let question (show: string -> string) (word: string) (known: string seq) =
        match closest word known |> List.map show with
        | [] -> None
        | [ one ] -> Some $"did you mean {one}?"
        | several ->
            let all, last = several |> List.take (several.Length - 1), List.last several
            Some $"""did you mean {String.Join(", ", all)} or {last}?"""

    /// `a, b, c, ...`: a list for a message, cut where it gets long.
    let listing (names: string seq) =
        let names = List.ofSeq names
        let shown = names |> List.truncate 8
        String.Join(", ", shown) + (if names.Length > 8 then $", ... ({names.Length} in all)" else "")

    /// A few tokens of a file, each so that it can be told from the text around it.
    let tokens (names: string seq) =
        listing (names |> Seq.map (fun t -> "`" + String.collect (fun c -> if Char.IsControl c then $"\\u{int c:x4}" else string c) t + "`"))
