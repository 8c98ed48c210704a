/// What can be wrong with the files that a text reads and writes (05xx), each declared once with its code.
namespace Tva.Dsl

open System
open Tva.Dsl.DiagnosticParts

/// Makers of diagnostics about checkpoints, outputs and pictures.
module FileDiagnostics =

    // Checkpoints

    let cannotOpen (message: string) span = make 501 span message None

    /// Whether a finding is about a file that can't be opened or is damaged, rather than about the text.
    let isFault (d: Diagnostic) = d.Code = "TVA0501"

    /// Names of one kind for a message about files that don't fit.
    let private part title (names: string list) =
        if names.IsEmpty then "" else $"\n    {title} ({names.Length}): {Suggest.listing names}"

    /// What to do where all that differs is something in front of every name, as `module.` of a model that PyTorch trained on several cards.
    let private prefixed (missing: string list) (extra: string list) =
        let longer, shorter = if String.length (List.tryHead missing |> Option.defaultValue "") > String.length (List.tryHead extra |> Option.defaultValue "") then missing, extra else extra, missing
        match longer, shorter with
        | l :: _, s :: _ when longer.Length = shorter.Length && l.EndsWith s && l.Length > s.Length ->
            let prefix = l.Substring(0, l.Length - s.Length)
            if List.sort longer = List.sort (shorter |> List.map (fun n -> prefix + n)) then
                Some $"the names of one begin with `{prefix}` and are the other's otherwise: load that file with `prefix = \"{prefix}\"`, which takes it off"
            else None
        | _ -> None

    let mismatch (a: string) (b: string) (missing: string list) (extra: string list) (reshaped: string list) help span =
        make 502 span
            ($"{a} and {b} don't have the same tensors"
             + part $"missing from {b}" missing
             + part $"only in {b}" extra
             + part "of another shape or type" reshaped)
            (prefixed missing extra |> Option.orElse help)

    /// For two models that are subtracted or added and have not the same tensors.
    let differenceHelp = "where only some differ, `delta(path, base, missing = \"zero\", extra = \"drop\")` takes what both have"

    let noMatch pattern folder span =
        let help =
            match [ '[', "brackets"; '{', "braces" ] |> List.tryFind (fun (c, _) -> (pattern: string).Contains c) with
            | Some(_, what) -> $"in a glob `*`, `?` and `**` stand for others, {what} for themselves; or list the files: `family([\"a.safetensors\", \"b.safetensors\"], base)`"
            | None -> "a glob is, for instance, \"tasks/*.safetensors\""
        make 503 span $"no checkpoint matches \"{pattern}\" in {folder}" (Some help)

    let sameName name span =
        make 504 span $"two members would be called `{name}`" (Some "name them: `family({ a: \"x/model.safetensors\", b: \"y/model.safetensors\" }, base)`")

    let nothingInCommon (a: string) (b: string) (missing: string list) (extra: string list) span =
        make 507 span $"{a} and {b} have no tensor in common"
            (prefixed missing extra |> Option.orElse (Some "`missing` and `extra` are for a few tensors; are these the same architecture?"))

    let noPrefix (path: string) (prefix: string) names span =
        make 543 span $"no tensor of {path} has a name that begins with `{prefix}`" (Some $"they are called {Suggest.listing names}")

    let prefixJoins (path: string) (prefix: string) (name: string) span =
        make 544 span $"without `{prefix}` two tensors of {path} would be called `{name}`" (Some "give a longer prefix")

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

    let outputHoldsInput path span =
        make 510 span $"\"{path}\" is a folder that holds an input" (Some "save into a folder of its own; an input is never overwritten")

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

    let rowsOfOtherTokens (a: string) (b: string) (moved: string seq) span =
        warn 542 span $"{a} and {b} give {Seq.length moved} tokens unlike rows ({Suggest.tokens moved}), and their rows are taken as they stand" (Some byTokenHelp)

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
