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

    // Names and kinds

    let unknownName name span known =
        let help =
            match Suggest.nearest name known with
            | Some k -> Some $"did you mean `{k}`?"
            | None -> None
        make 301 span $"`{name}` is not defined here" help

    let unknownFunction name span known =
        let help =
            match Suggest.nearest name known with
            | Some k -> $"did you mean `{k}`?"
            | None -> "`tva ops` lists every function"
        make 302 span $"there is no function `{name}`" (Some help)

    let notAFunction name span =
        make 303 span $"`{name}` is a value, not a function" (Some $"write `{name}` without brackets, or `{name}[\"*.attn.*\"]` to select tensors")

    let recursion name span =
        make 304 span $"`{name}` calls itself" (Some "a def is inlined, so it can only call functions defined above it")

    let redefined name span what =
        make 305 span $"`{name}` is already {what}" (Some "every name means one thing; choose another")

    let wrongKind what expected actual span help =
        make 310 span $"{what} takes {expected}, and this is {actual}" help

    let wantsDelta what span =
        make 311 span $"{what} takes a Delta (task vector), and this is a Model" (Some "subtract a base (`m - base`), or write `raw(m)` for its plain numbers")

    let unknownMember name family members span =
        let help =
            match Suggest.nearest name members with
            | Some k -> $"did you mean `{family}.{k}`? the members are {Suggest.listing members}"
            | None -> $"the members are {Suggest.listing members}"
        make 312 span $"`{family}.{name}` is not in the family" (Some help)

    let noMembers what span =
        make 313 span $"{what} has no members" (Some "a family (`family(\"tasks/*.safetensors\", base)`), a record and a table have")

    let missingArgument func param signature span =
        make 320 span $"`{func}` needs `{param}`" (Some $"its form is `{signature}`")

    let tooManyArguments func signature span =
        make 321 span $"`{func}` takes fewer arguments" (Some $"its form is `{signature}`")

    let unknownOption func name known span =
        let help =
            match Suggest.nearest name known with
            | Some k -> $"did you mean `{k}`?"
            | None -> $"it has {Suggest.listing known}"
        make 322 span $"`{func}` has no argument `{name}`" (Some help)

    let argumentTwice func name span =
        make 323 span $"`{func}` gets `{name}` twice" None

    let badOption func name value known span =
        make 324 span $"`{value}` is not a choice for `{name}` of `{func}`" (Some $"choose among {Suggest.listing known}")

    let lengths what a b span =
        make 325 span $"{what}: one side has {a} members and the other {b}" (Some "lists go with members position by position, so the numbers must agree")

    let memberNames a b span =
        make 326 span "the two families have different members" (Some $"{Suggest.listing a} against {Suggest.listing b}; families combine name by name")

    let mustBeKnown what span =
        make 327 span $"{what} must be known before the run" (Some "it can't depend on data, on `evaluate` or on a parameter that varies")

    let outOfRange what (low: string) (high: string) (value: float) span =
        make 328 span $"{what} is {value}, outside {low}..{high}" None

    let cannotCombine op a b span =
        make 330 span $"`{op}` can't combine {a} and {b}" None

    let cannotCompute what span help = make 331 span what help

    let emptyList what span = make 332 span $"{what} needs at least one member" None

    let notInThisBuild name what span =
        make 340 span $"`{name}` is not in this build" (Some what)

    let inFunction name (d: Diagnostic) span =
        { d with Span = span; Message = $"in `{name}`: {d.Message}" }

    let unknownSet name known =
        let help =
            match Suggest.nearest name known with
            | Some k -> $"did you mean `{k}`?"
            | None when Seq.isEmpty known -> "the script has no `param` statements"
            | None -> $"its parameters are {Suggest.listing known}"
        make 341 Span.None $"--set {name}: the script has no such parameter" (Some help)

    let includeFailed path reason span =
        make 342 span $"can't include {path}: {reason}" None

    let includeCycle path span =
        make 343 span $"{path} includes itself" None

    let unusedParameter name span = warn 344 span $"`{name}` has no effect" None

    // The affine rule

    let private kindsHelp = "a Model has weight 1, a task vector (Delta) weight 0; `raw(m)` and `point(d)` cross over"

    let neitherModelNorDelta (what: string) (weight: float) span =
        make 401 span $"`{what}` has weight {Math.Round(weight, 6)}: neither a model (1) nor a task vector (0)" (Some kindsHelp)

    let weightByTensor (what: string) (weight: float) (tensor: string) span =
        make 402 span $"`{what}` has weight {Math.Round(weight, 6)} at {tensor}: neither a model (1) nor a task vector (0) there" (Some kindsHelp)

    let weightUnknown (what: string) span =
        make 403 span $"the weight of `{what}` is only known when it runs, so it may be neither a model nor a task vector"
            (Some "write it as a model plus scaled task vectors (`base + k*A`), or with `raw` and `point`")

    let wantsModel what span =
        make 404 span $"{what} takes a Model, and this is a Delta (task vector)" (Some "add it to a base (`base + d`), or write `point(d)` to take it as a model")

    let productOfPoints op span =
        make 405 span $"`{op}` of tensors takes Deltas (task vectors), and one side is a Model" (Some "write `raw(m)` for its plain numbers")

    // Checkpoints

    let cannotOpen (message: string) span = make 501 span message None

    let mismatch (a: string) (b: string) (missing: string list) (extra: string list) (reshaped: string list) optionsHelp span =
        let part title (names: string list) =
            if names.IsEmpty then "" else $"\n    {title} ({names.Length}): {Suggest.listing names}"
        make 502 span
            ($"{a} and {b} don't have the same tensors"
             + part "missing" missing
             + part "extra" extra
             + part "different" reshaped)
            (if optionsHelp then Some "`delta(path, base, missing = \"zero\", extra = \"drop\")` says otherwise; shapes must agree" else None)

    let noMatch pattern folder span =
        make 503 span $"no checkpoint matches \"{pattern}\" in {folder}" None

    let sameName name span =
        make 504 span $"two members would be called `{name}`" (Some "name them: `family({ a: \"x/model.safetensors\", b: \"y/model.safetensors\" }, base)`")

    let unknownDType name span =
        make 505 span $"there is no dtype \"{name}\"" (Some "choose among f64, f32, f16, bf16, f8_e4m3, f8_e5m2")

    let scopeSelectsNothing (scope: string) (examples: string seq) span =
        warn 506 span $"{scope} selects no tensor" (Some $"the tensors are {Suggest.listing examples}")

    let outputIsInput path span =
        make 510 span $"\"{path}\" is one of the inputs" (Some "save under another name; an input is never overwritten")

    let outputTwice path span =
        make 511 span $"\"{path}\" is saved twice" None

    let outputForm path span =
        make 512 span $"\"{path}\" does not end in .safetensors" (Some "outputs are single safetensors files in this build")

    // Permissions and devices

    let needsPermission what flag span =
        make 601 span $"{what} is not allowed" (Some $"the text asks to leave the algebra; if you trust it, run with {flag}")
