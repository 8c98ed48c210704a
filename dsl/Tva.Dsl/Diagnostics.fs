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

/// Makers of diagnostics: 01xx characters, 02xx grammar, 03xx names and kinds, 04xx affine rule, 05xx checkpoints, 06xx permissions and devices,
/// 09xx configurations of other tools.
module Diagnostics =

    let private make code span message help =
        { Code = $"TVA%04d{code}"; Severity = Error; Span = span; Message = message; Help = help }

    let private warn code span message help = { make code span message help with Severity = Warning }

    // Characters and grammar

    let private code (text: string) = $"`{text}`"

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

    // Names and kinds

    let unknownName name span known =
        make 301 span $"`{name}` is not defined here" (Suggest.question code name known)

    let unknownFunction name span known =
        let help = Suggest.question code name known |> Option.defaultValue "`tva ops` lists every function"
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

    /// Whether a value of another kind is asked for.
    let isOfKind (d: Diagnostic) = List.contains d.Code [ "TVA0310"; "TVA0311"; "TVA0404" ]

    /// Whether values don't go together, whatever stands in files and whatever is allowed.
    let isOfValues (d: Diagnostic) = d.Severity = Severity.Error && (d.Code.StartsWith "TVA03" || d.Code.StartsWith "TVA04")

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

    let notAChoice (value: string) (choices: string list) span =
        let help =
            match Suggest.nearest value choices with
            | Some k -> $"did you mean \"{k}\"? the choices are {Suggest.listing choices}"
            | None -> $"the choices are {Suggest.listing choices}"
        make 329 span $"\"{value}\" is not a choice" (Some help)

    let lengths what a b span =
        make 325 span $"{what}: one side has {a} members and the other {b}" (Some "lists go with members position by position, so the numbers must agree")

    let memberNames a b span =
        make 326 span "the two families have different members" (Some $"{Suggest.listing a} against {Suggest.listing b}; families combine name by name")

    let mustBeKnown what span =
        make 327 span $"{what} must be known before the run" (Some "it can't depend on data, on `evaluate` or on a parameter that varies")

    let outOfRange what (low: string) (high: string) (value: float) span =
        make 328 span $"{what} is {value:G12}, outside {low}..{high}" None

    let cannotCombine op a b span =
        make 330 span $"`{op}` can't combine {a} and {b}" None

    let cannotCompute what span help = make 331 span what help

    let emptyList what span = make 332 span $"{what} needs at least one member" None

    let notAShare what (value: float) span =
        make 335 span $"{what} is {value}; it is a share, above 0 and up to 1" None

    let tooFewMembers (least: int) (given: int) span =
        make 333 span $"at least {least} members are needed, and there is {given}" (Some "give it a family of more")

    let noMatrix name span =
        make 334 span $"`{name}` works on matrices, and no tensor here with anything in it has two dimensions" (Some "leave it out for vectors, or restrict less")

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

    let rangeTooLong (count: float) (most: int) span =
        make 344 span $"the range has %g{count} values, more than {most}" (Some "take larger steps: `a..b by step`")

    /// What the F# compiler says, or why a piece of F# means nothing here; without a code of the compiler's it is ours.
    let fsharp (compilerCode: string) (message: string) help isWarning span =
        let code = if compilerCode <> "" then 350 else 351
        let text = if compilerCode <> "" then $"{compilerCode}: {message}" else message
        if isWarning then warn code span text help else make code span text help

    let fsharpAbsent span =
        make 352 span "there is no F# compiler here" (Some "a host gives the evaluator one: `options.WithFSharp(Tva.Scripting.FSharpHosts.create)`")

    let fsharpTooMuch (most: int) span =
        make 353 span $"the F# gives more than {most} values" (Some "a list for a script holds coefficients, not tensors")

    let notAScript path (size: int64) span =
        make 345 span $"{path} is no script: it has {size} bytes" (Some "a checkpoint is loaded with `model(\"...\")`")

    let stateChanges (func: string) (before: string) (after: string) span =
        make 346 span $"`repeat` carries {before}, and `{func}` gives {after}" (Some "what a round gives is what the next one takes, so both are of one form")

    let needsPass (what: string) (why: string) span =
        make 347 span $"each round would need another pass over the data: {what} {why}"
            (Some "inside `repeat` a Delta may be scaled, added up and measured by `dot`, `norm` and `cosine`; other things are done to its members before or to its result")

    // The affine rule

    let private kindsHelp = "a Model has weight 1, a task vector (Delta) weight 0; `raw(m)` and `point(d)` cross over"

    let neitherModelNorDelta (what: string) (weight: float) span =
        make 401 span $"{what} has weight {Math.Round(weight, 6)}: neither a model (1) nor a task vector (0)" (Some kindsHelp)

    let weightByTensor (what: string) (weight: float) (tensor: string) span =
        make 402 span $"{what} has weight {Math.Round(weight, 6)} at {tensor}: neither a model (1) nor a task vector (0) there" (Some kindsHelp)

    let weightMixed (what: string) (first: string) (weight: float) (tensor: string) (other: float) span =
        make 406 span $"{what} has weight {Math.Round(weight, 6)} at {first} and {Math.Round(other, 6)} at {tensor}: a Model in one place, a Delta in another"
            (Some "a restriction is zero elsewhere: write `base + A[\"...\"]`, or add what the other tensors should be")

    let numberOnPoint symbol span =
        make 407 span $"`{symbol}` of a Model and a number would shift every weight by it" (Some "scale a task vector (`base + 0.3 * A`), or write `raw(m)` for the plain numbers")

    let weightUnknown (what: string) span =
        make 403 span $"the weight of {what} is only known when it runs, so it may be neither a model nor a task vector"
            (Some "write it as a model plus scaled task vectors (`base + k*A`), or with `raw` and `point`")

    let wantsModel what span =
        make 404 span $"{what} takes a Model, and this is a Delta (task vector)" (Some "add it to a base (`base + d`), or write `point(d)` to take it as a model")

    let productOfPoints op span =
        make 405 span $"`{op}` of tensors takes Deltas (task vectors), and one side is a Model" (Some "write `raw(m)` for its plain numbers")

    // Bases

    let basisOfOne (name: string) span =
        make 410 span $"a basis of the one task vector `{name}` keeps nothing for less" (Some "it takes a family of two or more: `family(\"tasks/*.safetensors\", base)`")

    let atomsOutOfRange (m: float) (tasks: int) span =
        make 411 span $"M is {m}, outside 1..{tasks}, the number of task vectors" (Some $"give 1 to {tasks} atoms, a share below 1 such as `0.5`, or `error = 0.05`")

    let noFamily (what: string) (func: string) span =
        make 412 span $"`{func}` takes a family or a member of one, and {what} is not known as a member" (Some $"take it from its family: `tasks.name @{func}(...)`, or write `{func}(tasks, ...).name`")

    let severalFamilies (what: string) (n: int) (func: string) span =
        make 413 span $"{what} is a member of {n} families" (Some $"say which one is meant: `{func}(tasks, ...).name`")

    let differentBases (a: string) (baseOfA: string) (b: string) (baseOfB: string) span =
        make 414 span $"`{a}` is a task vector over {baseOfA}, `{b}` over {baseOfB}" (Some "task vectors that go together are differences from one base")

    let noBase (name: string) span =
        make 420 span $"nothing is known that `{name}` is a task vector over" (Some "take it from a family, or as `model(...) - base`: its model has to be run")

    let gammaLength (given: int) (members: string list) span =
        make 421 span $"`gamma` has {given} numbers for {members.Length} task vectors" (Some $"one for each, in this order: {Suggest.listing members}")

    let gammaZero span =
        make 422 span "all of `gamma` is 0: the new task has nothing of the known ones" (Some "the theorem asks for some γ other than 0")

    let gammaTooLong (squares: float) span =
        make 425 span $"Σγ² is {squares}, and a pattern of length 1 has at most 1 in directions that are orthonormal"
            (Some "gamma are the target's inner products with each task's pattern; scale them down")

    let alphaLength (given: int) (pairs: string list) span =
        make 423 span $"`alpha` has {given} numbers for {pairs.Length} pairs" (Some $"one for all of them, or one for each, in this order: {Suggest.listing pairs}")

    let keptAndForgotten (name: string) span =
        make 424 span $"`{name}` is to be forgotten and kept" (Some "leave it out of `keep`")

    let optionOfMethod (option: string) (method: string) span =
        make 416 span $"`{option}` does not go with method \"{method}\"" (Some "steps, lr, weight_decay, tau, anneal_every, anneal_factor and softmax are of \"ae\" and \"ae-linear\", merge of \"cluster\"")

    let decoderOfMethod (decoder: string) (method: string) span =
        make 415 span $"decoder \"{decoder}\" does not go with method \"{method}\""
            (Some "\"closed\" goes with all, \"trained\" with \"ae\" and \"ae-linear\", \"selection\" with \"sample\", \"membership\" with \"cluster\"")

    // Checkpoints

    let cannotOpen (message: string) span = make 501 span message None

    /// Whether a finding is about a file that can't be opened or is damaged, rather than about the text.
    let isFault (d: Diagnostic) = d.Code = "TVA0501"

    let mismatch (a: string) (b: string) (missing: string list) (extra: string list) (reshaped: string list) help span =
        let part title (names: string list) =
            if names.IsEmpty then "" else $"\n    {title} ({names.Length}): " + String.Join(", ", names)
        make 502 span
            ($"{a} and {b} don't have the same tensors"
             + part $"missing from {b}" missing
             + part $"only in {b}" extra
             + part "of another shape or type" reshaped)
            help

    let noMatch pattern folder span =
        make 503 span $"no checkpoint matches \"{pattern}\" in {folder}" None

    let sameName name span =
        make 504 span $"two members would be called `{name}`" (Some "name them: `family({ a: \"x/model.safetensors\", b: \"y/model.safetensors\" }, base)`")

    let nothingInCommon (a: string) (b: string) span =
        make 507 span $"{a} and {b} have no tensor in common" (Some "`missing` and `extra` are for a few tensors; are these the same architecture?")

    let baseAmongMembers (name: string) span =
        warn 508 span $"`{name}` is the base itself, so its task vector is zero" (Some "keep the base out of the glob, or list the members: `family([\"a.safetensors\", ...], base)`")

    let namesMissing (names: string list) span =
        warn 509 span $"there is no tensor {Suggest.listing names}" None

    let unknownDType name span =
        let meant =
            match (name: string).ToLowerInvariant() with
            | "bfloat16" -> Some "bf16"
            | "half" | "float16" | "fp16" -> Some "f16"
            | "float" | "float32" | "fp32" -> Some "f32"
            | "double" | "float64" | "fp64" -> Some "f64"
            | "fp8" | "float8_e4m3fn" | "float8" -> Some "f8_e4m3"
            | "float8_e5m2" -> Some "f8_e5m2"
            | _ -> None
        let all = "f64, f32, f16, bf16, f8_e4m3, f8_e5m2"
        make 505 span $"there is no dtype \"{name}\"" (Some(match meant with Some m -> $"here it is \"{m}\"; there are {all}" | None -> $"choose among {all}"))

    let scopeSelectsNothing (scope: string) (examples: string seq) span =
        warn 506 span $"{scope} selects no tensor" (Some $"the tensors are {Suggest.listing examples}")

    let outputIsInput path span =
        make 510 span $"\"{path}\" is one of the inputs" (Some "save under another name; an input is never overwritten")

    let outputInInput path input span =
        make 510 span $"\"{path}\" lies in \"{input}\", a folder that is one of the inputs: the next run would read it as a part of that"
            (Some "save elsewhere, or into a folder of its own")

    let outputTwice path span =
        make 511 span $"\"{path}\" is saved twice" None

    let outputForm path span =
        make 512 span $"\"{path}\" does not end in .safetensors" (Some "write a file.safetensors, or a folder: a path without an extension, or one that ends in /")

    let shardOfFile (path: string) span =
        make 512 span $"\"{path}\" is one file, and shards are several" (Some "name a folder, a path that does not end in .safetensors")

    let shardOfOne (what: string) (contents: string) span =
        make 526 span $"{what} can't be saved in shards: {contents} are in one file of its folder" (Some "leave `shard` out; a Model or a Delta takes it")

    let notASize name (text: string) span =
        make 512 span $"{name} = \"{text}\" is not a size" (Some "write for instance \"5GB\", \"500MB\" or \"2GiB\"")

    let outputFolderInUse path (foreign: string list) span =
        make 514 span $"\"{path}\" holds what no run has written: {Suggest.listing foreign}" (Some "a model takes a folder of its own: name a new one, or move those files elsewhere")

    let folderOnDisk (path: string) span =
        make 514 span $"\"{path}\" can't be looked into" (Some "allow this user to read it or save elsewhere")

    let basisForm path span =
        make 513 span $"\"{path}\" is no folder for a basis" (Some "a basis is several files: name a folder, such as \"bases/vit-ae4\"")

    let folderInUse path span =
        make 514 span $"\"{path}\" is a folder with other things in it" (Some "a basis takes a folder of its own: name a new one")

    let otherBase (folder: string) (given: string) (made: string) span =
        make 515 span $"{folder} is a basis over another model than {given}" (Some $"it was made over {made}; load that one")

    let readsOutput (path: string) span =
        make 516 span $"\"{path}\" is written by this script, and files are read as they are before it runs"
            (Some "go on with the value itself instead of its file, or read it in a script of its own")

    let notInMemory (path: string) (known: string list) span =
        make 519 span $"there is no \"{path}\"" (Some(if known.IsEmpty then "the program that runs this gives nothing from memory" else $"in memory are {Suggest.listing known}"))

    let memoryForm (path: string) (what: string) span =
        make 519 span $"{what} can't be saved to \"{path}\"" (Some "it is several files: name a folder; a Model or a Delta can be saved to memory")

    let isBasis (path: string) span =
        make 517 span $"\"{path}\" is a basis, not a model" (Some "`family(path, base)` reads it, with its members by name")

    let isTaskVector (path: string) span =
        make 525 span $"\"{path}\" is a task vector, not a model" (Some "`delta(path, base)` reads it; `base + delta(path, base)` is the model with it")

    let isAdapter (path: string) span =
        make 518 span $"\"{path}\" is a low-rank adapter, not a model" (Some "`delta(path, base)` is what it changes; `base + delta(path, base)` is the model with it")

    let adapterModules (baseModel: string) (path: string) (modules: string list) span =
        make 519 span $"{path} changes {modules.Length} modules that {baseModel} lacks: {Suggest.listing modules}"
            (Some "load the model that it was made for; `delta(path, base, extra = \"drop\")` leaves them out")

    let adapterElsewhere (baseModel: string) (path: string) (modules: string list) span =
        make 507 span $"{path} is an adapter for another model than {baseModel}: it changes {Suggest.listing modules}" (Some "load the model that it was made for")

    let adapterForm path span =
        make 520 span $"\"{path}\" is no folder for an adapter" (Some "an adapter is two files: name a folder, such as \"loras/both\"")

    let adapterFolderInUse path span =
        make 521 span $"\"{path}\" is a folder with other things in it" (Some "an adapter takes a folder of its own: name a new one")

    let notLowRank (what: string) span =
        make 522 span $"{what} is no sum of low-rank adapters, so it has no factors to keep"
            (Some "adapters read with `delta(path, base)` stay low-rank while they are scaled, added and restricted; of other task vectors say which rank to keep: `as = \"lora\", rank = 16`")

    let nothingLowRank (what: string) span =
        make 523 span $"{what} changes nothing, and there is no adapter without modules" None

    let rankOfAdapter span =
        make 524 span "`rank` is of adapters" (Some "`as = \"lora\"` saves one")

    // Tied weights and vocabularies

    /// For models that differ in the number of rows over their vocabularies alone.
    let byTokenHelp =
        "`delta(path, base, vocab = \"by-token\")` takes the rows by their tokens: both folders have a tokenizer"

    let rowsOfExpression span =
        make 541 span "rows by token are taken of a model as its file has it, and this base is computed" (Some "give `model(...)` itself for the base")

    let tiedDiffer (path: string) (head: string) (embedding: string) span =
        warn 540 span $"{path} has a {head} that is not its {embedding}, though its config.json ties them: they are taken as two tensors"
            (Some "\"tie_word_embeddings\": false in the config.json says so")

    // Stacks of layers

    let stackNoLayers (path: string) span =
        make 530 span $"{path} has no layers to stack: none of its tensors has a number in its name" (Some "a tensor's layer is the first integer component of its dotted name, as in `model.layers.3.mlp.up_proj.weight`")

    let stackBeyond (asked: string) (path: string) (first: int) (last: int) span =
        make 531 span $"{path} has layers {first}..{last}, and `{asked}` asks for others" None

    let stackNothing (what: string) (first: int) (last: int) span =
        make 532 span $"{what} is no layer at all" (Some $"the model has layers {first}..{last}")

    let stackCuts (what: string) (layer: int) (tensor: string) span =
        make 533 span $"{what} takes a part of layer {layer} only: {tensor} is not in it" (Some "a part of `stack` is whole layers: `m[layers(0..11)]`")

    let stackMismatch (a: string) (b: string) (missing: string list) (extra: string list) (reshaped: string list) span =
        let part title (names: string list) =
            if names.IsEmpty then "" else $"\n    {title} ({names.Length}): " + String.Join(", ", names)
        make 534 span
            ($"the layers of {a} and {b} are not alike"
             + part $"missing from {b}" missing
             + part $"only in {b}" extra
             + part "of another shape" reshaped)
            (Some "layers can be stacked where all have the same tensors, of the same shapes")

    let stackSeries (path: string) (series: string list) span =
        warn 535 span $"{path} has {series.Length} series of layers ({Suggest.listing series}), and the chosen numbers are taken from each" None

    let stackLeaves (what: string) (why: string) help span =
        make 536 span $"{what} rests on {why}, which its layers alone don't tell" (Some help)

    // Pictures and tables in files

    let pictureForm (path: string) (ending: string) span =
        make 570 span $"\"{path}\" does not end in {ending}" (Some $"pictures are SVG files, reports HTML: name it for instance \"{IO.Path.ChangeExtension(path, ending)}\"")

    let pictureInMemory (path: string) span = make 575 span $"a picture can't be saved to \"{path}\"" (Some "name a file")

    let pictureOf (what: string) (found: string) help span = make 571 span $"{what} draws a Table, not {found}" help

    let pictureSize (problem: string) span = make 572 span problem (Some "take fewer members or tensors: restrict it, or sum by layer")

    let markForm (rows: int, columns: int) (given: int * int) span =
        make 573 span $"`mark` has {fst given} rows and {snd given} columns, and the table {rows} and {columns}" (Some "it says of each cell whether to outline it")

    let badTable (path: string) (line: int) (what: string) span =
        make 574 span $"{path}:{line}: {what}" (Some "a line of titles, then a label and numbers on each line, with commas between: what a spreadsheet saves as CSV")

    // Permissions and devices

    let needsPermission what flag span =
        make 601 span $"{what} is not allowed" (Some $"the text asks to leave the algebra; if you trust it, run with {flag}")

    /// The code of what a text may not do without being allowed to.
    [<Literal>]
    let PermissionCode = "TVA0601"

    let outsideFolders (doing: string) (path: string) (folders: string seq) span =
        make 602 span $"{doing} \"{path}\" is not allowed: it lies outside, or leads out through a link or `..`"
            (Some(if Seq.isEmpty folders then "the program that runs this allows no folder for it" else $"allowed is what lies in {Suggest.listing folders}"))

    // Configurations of other tools

    let configSyntax span (what: string) = make 901 span $"this is no YAML: {what}" None

    let configKey span (place: string) (key: string) known =
        let help =
            match Suggest.nearest key known with
            | Some k -> $"did you mean `{k}`?"
            | None -> $"{place} takes {Suggest.listing known}"
        make 902 span $"{place} has no {code key}" (Some help)

    let configTwice span (key: string) = make 903 span $"{code key} stands here twice" (Some "keep one of them")

    let configType span (what: string) (wanted: string) (found: string) =
        make 904 span $"{code what} is {wanted}, and this is {found}" None

    let configMissing span (place: string) (key: string) help = make 905 span $"{place} needs {code key}" (Some help)

    let configChoice span (what: string) (value: string) known =
        let help =
            match Suggest.nearest value known with
            | Some k -> $"did you mean {k}?"
            | None -> $"choose among {Suggest.listing known}"
        make 906 span $"there is no {what} {code value}" (Some help)

    /// What can't be a merge at all, there or here.
    let configSense span (what: string) help = make 907 span what (Some help)

    /// What the other tool does and a script can't; the script has it as a comment.
    let configInexpressible span (what: string) help = warn 910 span what (Some help)

    /// What stands in the configuration and has no effect, there or here.
    let configIgnored span (what: string) help = warn 911 span what (Some help)

    /// What the configuration alone does not tell.
    let configAssumed span (what: string) help = warn 912 span what (Some help)
