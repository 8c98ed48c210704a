/// What can be wrong with what a text means, each declared once with its code: 03xx names and kinds, 04xx the affine rule and methods, 06xx permissions.
namespace Tva.Dsl

open System
open Tva.Dsl.DiagnosticParts

/// Makers of diagnostics about names, values and permissions; SyntaxDiagnostics, FileDiagnostics and ConfigDiagnostics have the others.
module Diagnostics =

    // Names and kinds

    /// A question in front of what there is, where something is close.
    let private meant name known = Suggest.question code name known |> Option.map (fun q -> q + " ") |> Option.defaultValue ""

    let unknownName name span known =
        make 301 span $"`{name}` is not defined here" (Suggest.question code name known)

    let unknownType name span known =
        make 301 span $"there is no type `{name}`" (Some(meant name known + "the types are " + String.Join(", ", List.toSeq known) + "; a number is a Scalar"))

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

    /// A record's key beside a family, where other keys are members' names.
    let notAMember name members span =
        make 312 span $"`{name}` is not in the family, and other keys of this record are"
            (Some $"{meant name members}the members are {Suggest.listing members}; a record's keys are all members' names or all globs over tensor names")

    let memberMissing missing span =
        make 312 span $"this record gives the family's members numbers, but {Suggest.listing missing} none" (Some "name them too, or add `else: 0` (or another number) as its last entry")

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
        make 341 Span.None $"{Tva.Core.Wording.Current.Set} {name}: the script has no such parameter" (Some help)

    let checkpointForParam name span =
        make 341 span $"a checkpoint is given for `{name}`, and a `param` takes a number, a condition, a text or a list of numbers"
            (Some "a checkpoint in memory is a name by itself: take the `param` statement out")

    let uncalled name known =
        let help =
            match Suggest.nearest name known with
            | Some k -> $"did you mean its parameter `{k}`?"
            | None -> $"call it `{name}` or \"memory:{name}\" in the text, or leave it out"
        make 341 Span.None $"a checkpoint is given as `{name}`, and the text calls nothing so" (Some help)

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

    // Permissions and devices

    let needsPermission what flag span =
        make 601 span $"{what} is not allowed" (Some $"the text asks to leave the algebra; if you trust it, run with {flag}")

    /// The code of what a text may not do without being allowed to.
    [<Literal>]
    let PermissionCode = "TVA0601"

    let outsideFolders (doing: string) (path: string) (folders: string seq) span =
        make 602 span $"{doing} \"{path}\" is not allowed: it lies outside, or leads out through a link or `..`"
            (Some(if Seq.isEmpty folders then "the program that runs this allows no folder for it" else $"allowed is what lies in {Suggest.listing folders}"))
