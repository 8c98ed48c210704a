/// What can be wrong with a text's characters (01xx) and grammar (02xx), each declared once with its code.
namespace Tva.Dsl

open Tva.Dsl.DiagnosticParts

/// Makers of diagnostics that the lexer and the parser report.
module SyntaxDiagnostics =

    let invalidCharacter span (shown: string) help = make 101 span $"{shown} has no meaning here" help

    let slip span (written: string) (meant: string) =
        make 102 span $"{code written} is not an operator here" (Some $"write {code meant}")

    let unterminatedText span =
        make 103 span "the text is not closed on its line"
            (Some "close it with `\"`; a text over several lines is written `\"\"\"...\"\"\"`")

    let unterminatedRaw span = make 104 span "the text is never closed" (Some "close it with `\"\"\"`")

    let badEscape span (written: string) =
        make 105 span $"{code written} is not an escape"
            (Some "the escapes are `\\n` `\\t` `\\\"` `\\\\` `\\u{3C4}`; `\"\"\"...\"\"\"` has none")

    let badNumber span (written: string) help = make 106 span $"{code written} is not a number" (Some help)
    let numberTooLarge span = make 107 span "the number is too large" (Some "the largest is about 1.8e308")
    let wrongQuotes span = make 108 span "a text stands in straight double quotes" (Some "write `\"...\"`")

    let wrongComment span =
        make 109 span "`//` is not an operator" (Some "a comment begins with `#`; a whole quotient is `floor(a / b)`")

    let loneReturn span =
        make 110 span "a carriage return stands without a line feed" (Some "save the text with LF or CRLF line ends")

    let unexpected span (wanted: string) (found: string) help = make 201 span $"expected {wanted}, found {found}" help
    let missingOperand span (after: string) help = make 202 span $"an expression is missing after {code after}" help

    let unclosed span (bracket: string) (closer: string) =
        make 203 span $"{code bracket} is not closed" (Some $"close it with {code closer}")

    let strayCloser span (closer: string) = make 204 span $"{code closer} closes nothing" None
    let missingComma span = make 205 span "a `,` is missing before this" None

    let reservedWord span (word: string) help =
        make 206 span $"{code word} is a keyword and cannot be a name"
            (Some(defaultArg help $"choose another name, such as `{word}_`"))

    let equalsInExpression span = make 207 span "`=` gives a name its value" (Some "to compare, write `==`")

    let chainedComparison span (first: string) (second: string) =
        make 208 span "comparisons cannot be chained" (Some $"write `a {first} b and b {second} c`")

    let chainedRange span = make 209 span "a range has two ends" (Some "a step is written `0..1 by 0.05`")

    let positionalAfterNamed span =
        make 210 span "a positional argument stands after a named one" (Some "put it first, or name it too")

    let repeated span (what: string) (name: string) = make 211 span $"the {what} {code name} stands here twice" None
    let defWithoutEquals span = make 212 span "a `def` needs `=` before its body" (Some "write `def f(x) = ...`")

    let defWithoutParameters span =
        make 213 span "a `def` needs its parameters in brackets" (Some "write `def f(x) = ...`, or `name = ...` for a value")

    let tooDeep span = make 214 span "the expression is nested too deeply" (Some "name its parts: `part = ...`")
    let notCallable span help = make 215 span "only a name can be called" (Some help)
    /// `x: 1` and `x := 1`, as YAML and others have it.
    let colonForEquals span (name: string) = make 216 span "a name gets its value by `=`" (Some $"write `{name} = ...`")

    let assignToExpression span help = make 216 span "only a name can stand left of `=`" (Some help)

    let blockWithoutValue span =
        make 217 span "the block has no value" (Some "its last line is an expression: `{ a = 1; 2 * a }`")

    let statementInBlock span (word: string) =
        make 218 span $"{code word} cannot stand inside a block" (Some "put it on a line of its own outside the braces")

    let unusedInBlock span =
        make 219 span "this value is lost: only a block's last line is its value" (Some "name it: `name = ...`")

    let entryInBlock span =
        make 220 span "a block and a record are mixed here"
            (Some "a record is `{ a: e, b: e }`, a block is `{ a = e; b = e; a + b }`")

    let commaInBlock span =
        make 221 span "a block's lines are not separated by `,`"
            (Some "write `;` or begin a new line; a record is `{ a: e, b: e }`")

    let defaultOrder span (name: string) =
        make 222 span $"the parameter {code name} has no default but follows one that has"
            (Some "put it first, or give it a default")

    let unaryPlus span = make 223 span "there is no unary `+`" (Some "leave it out")

    let afterPipe span =
        make 224 span "only another `|>` can follow `|> f(...)`" (Some "put the pipe in brackets: `(x |> f(a)) + y`")

    let foreignWord span (word: string) help = make 225 span $"{code word} is not a word of this language" help

    let looseNot span =
        warn 226 span "`not` takes only what stands right after it"
            (Some "write `not (a == b)`, or `(not a) == b` if that is meant")

    let unquotedKey span (text: string) =
        make 227 span $"{code text} is no name: a name has letters, digits and `_`" (Some $"quote it: `\"{text}\": ...`")
