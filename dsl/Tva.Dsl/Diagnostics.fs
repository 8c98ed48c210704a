/// Everything that can be wrong with a text, each declared once with its code.
namespace Tva.Dsl

open System

type Severity =
    | Error
    | Warning

/// A finding at a place in a text. All of them are reported at once.
type Diagnostic =
    { Code: string
      Severity: Severity
      Span: Span
      Message: string
      Help: string option }

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

    /// The closest of `known` if it is close enough to be meant.
    let nearest (word: string) (known: string seq) =
        let scored =
            known
            |> Seq.map (fun k -> distance (word.ToLowerInvariant()) (k.ToLowerInvariant()), k)
            |> Seq.sortBy fst
            |> Seq.tryHead
        match scored with
        | Some(d, k) when d <= max 1 (word.Length / 3) -> Some k
        | _ -> None

    /// `a, b, c, ...`: a list for a message, cut where it gets long.
    let listing (names: string seq) =
        let names = List.ofSeq names
        let shown = names |> List.truncate 8
        String.Join(", ", shown) + (if names.Length > 8 then $", ... ({names.Length} in all)" else "")

/// Makers of diagnostics: 01xx characters, 02xx grammar, 03xx names and kinds, 04xx affine rule, 05xx checkpoints, 06xx permissions and devices.
module Diagnostics =

    let private make code span message help =
        { Code = $"TVA%04d{code}"; Severity = Error; Span = span; Message = message; Help = help }

    let private warn code span message help = { make code span message help with Severity = Warning }
