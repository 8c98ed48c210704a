/// What a text's characters are cut into; the parser, the prompt's highlighter and its completion read the same tokens.
namespace Tva.Dsl.Syntax

open System
open System.Text
open Tva.Dsl

[<RequireQualifiedAccess>]
type TokenKind =
    | Name
    | Keyword
    | Number
    | Text
    /// `"""..."""`
    | RawText
    /// Brackets, separators and operators.
    | Symbol
    | Comment
    /// A line that begins with `##`.
    | Doc
    | Newline
    /// Characters without a meaning, already reported; the parser skips them and does not report what they caused.
    | Invalid
    /// The end of the text: the last token, once.
    | End

/// A piece of the text. `Text` is what is meant (a name, a symbol, a text's content with escapes resolved), `Span` is where
/// it stands.
[<Struct>]
type Token =
    { Kind: TokenKind
      Span: Span
      Text: string
      /// A number's value, else 0.
      Value: float }

module Words =

    let keywords =
        set [ "def"; "assert"; "param"; "include"; "print"; "true"; "false"; "and"; "or"; "not"; "fs" ]

    let isKeyword word = keywords.Contains word

    /// Can a name begin with it: a letter or `_`.
    let isStart (rune: Rune) = rune.Value = int '_' || Rune.IsLetter rune

    /// Can a name go on with it: marks too, since some scripts write letters with them.
    let isPart (rune: Rune) =
        isStart rune
        || Rune.IsDigit rune
        || (let category = Rune.GetUnicodeCategory rune
            category = Globalization.UnicodeCategory.NonSpacingMark
            || category = Globalization.UnicodeCategory.SpacingCombiningMark)

    /// Whether the word can be written as a name, without quotes.
    let isName (word: string) =
        let mutable first = true
        let mutable fits = word.Length > 0
        for rune in word.EnumerateRunes() do
            // A lone surrogate is enumerated as U+FFFD, which is no letter.
            fits <- fits && (if first then isStart rune else isPart rune)
            first <- false
        fits && not (isKeyword word)
