/// From one merge of models (whole, or so many layers of each) to the expression that makes it.
module Tva.Import.Merge

open System
open Tva.Dsl
open Tva.Import.Coefficients
open Tva.Import.Methods

/// One merge: its sources with the base among them or not, and the levels of settings around them, the nearest first.
type Inputs =
    { Method: Method
      MethodSpan: Span
      Sources: Source list
      Base: Reference option
      Around: Parameters list
      /// Where known.
      LayerCount: int option
      /// Some layers of the models: the merge is over stacks of those alone.
      Cut: bool
      /// Goes behind the names that the merge makes.
      Suffix: string }

let private list (items: string list) = "[" + String.Join(", ", items) + "]"

let private span (i: Inputs) = i.MethodSpan

/// A model as it enters the merge.
let private operand (script: Script) (i: Inputs) (s: Source) =
    let name = script.Model s.Model
    match s.Layers with
    | Some(first, last) when i.Cut && last = first + 1 -> $"stack({name}[layers({first})])"
    | Some(first, last) when i.Cut -> $"stack({name}[layers({first}..{last - 1})])"
    | _ -> name

let private each (script: Script) (i: Inputs) name : (Source -> Coefficient option) =
    let p = i.Method.Parameters |> List.find (fun p -> p.Name = name)
    fun s -> resolve script.Report (s.Parameters :: i.Around) name p.Default

let private global' (script: Script) (i: Inputs) name =
    let p = i.Method.Parameters |> List.find (fun p -> p.Name = name)
    match resolve script.Report i.Around name p.Default with
    | Some c -> c
    | None ->
        script.Report(ConfigDiagnostics.missing (span i) i.Method.Name name $"under `parameters`: {name}: 0.5")
        constant 0.5

/// A setting that is on or off; where it varies, the rest's holds.
let private isOn (script: Script) (i: Inputs) name =
    let c = global' script i name
    if varies c then
        script.Inexpressible(span i, $"`{name}` varies by tensor or layer", "a script has it one way; what holds for the rest is taken")
    c.Else.Head <> 0.0

/// One number for a setting that can't vary here.
let private single (script: Script) (i: Inputs) name =
    let c = global' script i name
    if varies c then
        script.Inexpressible(span i, $"`{name}` varies by tensor or layer", "what holds for the rest is taken")
    c.Else.Head

let private weights (script: Script) (i: Inputs) (members: Source list) =
    let of' = each script i "weight"
    members |> List.map (fun s ->
        match of' s with
        | Some c -> c
        | None ->
            script.Report(ConfigDiagnostics.missing s.Span $"{i.Method.Name} of {s.Model}" "weight" "under `parameters` of the model, or of all")
            constant 1.0)

let private factor (script: Script) (i: Inputs) (c: Coefficient) = if known c = Some 1.0 then "" else script.Value("lambda" + i.Suffix, text i.LayerCount c) + " * "

/// `, name = value` where it isn't what the function has by default.
let private unless (fallback: string) name (value: string) = if value = fallback then "" else $", {name} = {value}"

let private rescaled = "def rescaled(x: Family, like: Family): Family = l1(like, by = \"tensor\") / max(l1(x, by = \"tensor\"), 1e-7) * x"

/// base + a merge of task vectors: what is left of each, weighed, with or without an election of signs.
let private vectors (script: Script) (i: Inputs) (baseText: string) (tasks: string) (members: Source list) =
    let name = i.Method.Name
    let elects = List.contains name [ "ties"; "dare_ties"; "della"; "breadcrumbs_ties" ]
    let w = weights script i members
    let W = script.Value("weights" + i.Suffix, texts i.LayerCount w)
    let perModel name = members |> List.map (fun s -> (each script i name s).Value)
    let density = perModel "density"
    let normalize = isOn script i "normalize"
    let rescale = isOn script i "rescale"
    let lambda = global' script i "lambda"
    if known (global' script i "int8_mask") <> Some 0.0 then
        script.Comment "int8_mask has no effect here: it is how mergekit saves memory"
    let whole = density |> List.forall (fun d -> numbers d |> List.forall (fun v -> v >= 1.0))
    let D = script.Value("density" + i.Suffix, texts i.LayerCount density)
    let how = if rescale then "l1" else "none"
    let normalized = unless (if List.contains name [ "ties"; "della" ] then "true" else "false") "normalize" (if normalize then "true" else "false")
    let weighted' = unless "1" "weights" W
    let random () = script.Comment "dropped at random: the draws are not mergekit's"
    // The plain forms, of any family.
    let sum (x: string) =
        if W = "1" then $"sum({x})"
        elif (known w.Head).IsSome && w |> List.forall (fun c -> known c = known w.Head) then $"{W} * sum({x})"
        else $"weighted({x}, {W})"
    let election (x: string) = $"consensus({x}{weighted'}" + unless "true" "normalize" (if normalize then "true" else "false") + ")"
    let divided (x: string) =
        let total = w |> List.map known
        if not normalize then x
        elif total |> List.forall Option.isSome && abs (total |> List.sumBy Option.get) < 1e-8 then
            script.Comment "the weights cancel, so nothing is divided"
            x
        else x + " / sum(" + (if W.StartsWith "weights" then W else list (w |> List.map (text i.LayerCount))) + ")"
    let plain (x: string) = if elects then election x else divided (sum x)
    let stretched (x: string) =
        script.Add rescaled
        let cut = script.Names.Fresh("trimmed" + i.Suffix)
        script.Add $"{cut} = {x}"
        plain $"rescaled({cut}, {tasks})"
    let merged =
        match name with
        | _ when whole || name = "task_arithmetic" -> plain tasks
        | "ties" when rescale -> stretched $"trim({tasks}, {D})"
        | "ties" -> $"ties({tasks}, density = {D}{weighted'}{normalized})"
        | "dare_linear" ->
            random ()
            divided $"dare({tasks}, density = {D}{weighted'}, rescale = \"{how}\")"
        | "dare_ties" ->
            random ()
            $"dare_ties({tasks}, density = {D}{weighted'}, rescale = \"{how}\"{normalized})"
        | "della"
        | "della_linear" ->
            random ()
            let E = script.Value("epsilon" + i.Suffix, texts i.LayerCount (perModel "epsilon"))
            let epsilon = unless "0.15" "epsilon" E
            let scale = if rescale then "" else ", rescale = \"none\""
            if name = "della" then $"della({tasks}, density = {D}{epsilon}{weighted'}{scale}{normalized})"
            else divided $"della_linear({tasks}, density = {D}{epsilon}{weighted'}{scale}, normalize = false)"
        | _ ->
            let gamma = perModel "gamma"
            if List.exists2 (fun d g -> known g = Some 0.0 && known d <> Some 1.0) density gamma then
                script.Inexpressible(span i, "gamma 0 drops no outliers here, and everything in mergekit", "a gamma above 0 is the same in both")
            let G = script.Value("gamma" + i.Suffix, texts i.LayerCount gamma)
            let crumbs = $"crumbs({tasks}, density = {D}" + unless "0.01" "gamma" G + ")"
            if rescale then stretched crumbs
            elif name = "breadcrumbs_ties" && normalize then election crumbs
            else
                let gamma = unless "0.01" "gamma" G
                divided $"{name}({tasks}, density = {D}{gamma}{weighted'})"
    $"{baseText} + {factor script i lambda}{merged}"

/// The expression of a merge. What it needs before (models, families) is added to the script.
let expression (script: Script) (i: Inputs) : string =
    let isBase (s: Source) = i.Base = Some s.Model
    let others = i.Sources |> List.filter (isBase >> not)
    let operand = operand script i
    let baseSource = i.Sources |> List.tryFind isBase
    // The base first, so that it is declared first and called so.
    let origin = lazy (
        match baseSource with
        | Some s when i.Cut ->
            let name = script.Names.Fresh("base" + i.Suffix)
            script.Add $"{name} = {operand s}"
            name
        | Some s -> operand s
        | None -> script.Model i.Base.Value)
    let family = lazy (
        let baseText = origin.Value
        let entry (s: Source) =
            let m = s.Model
            let key (path: string) = script.Names.OfPath path
            match m.Lora with
            | _ when i.Cut || script.IsMerge m ->
                let x = operand s
                let name = script.Model m
                $"{name}: {x} - {baseText}"
            | None -> $"{key m.Model.Path}: {script.Source(m.Span, m.Model)}"
            | Some lora when i.Base = Some { m with Lora = None } -> $"{key lora.Path}: delta({script.Source(m.Span, lora)}, {baseText})"
            | Some _ ->
                let name = script.Model m
                $"{name}: {name} - {baseText}"
        let entries = others |> List.map entry
        let name = script.Names.Fresh("tasks" + i.Suffix)
        let oneLine = "{ " + String.Join(", ", entries) + " }"
        if oneLine.Length <= 100 then script.Add $"{name} = family({oneLine}, {baseText})"
        else
            let body = String.Join(",\n", entries |> List.map (fun e -> "  " + e))
            script.Add($"{name} = family({{\n{body}\n}}, {baseText})")
        name)
    let value name = script.Value(name + i.Suffix, text i.LayerCount (global' script i name))
    let single' name = number (single script i name)
    let members (sources: Source list) = list (sources |> List.map operand)
    match i.Method.Name with
    | _ when others.IsEmpty && i.Base.IsSome && i.Method.Base = Required -> origin.Value
    | "linear" ->
        // A base that is not among the models counts as one of them where a weight is given for all.
        let weighted, unweighted = i.Sources |> List.partition (fun s -> not (isBase s) || (each script i "weight" s).IsSome)
        for s in unweighted do
            script.Inexpressible(s.Span, "base_model has no weight, and mergekit's linear stops there", "the base is left out; give it a weight, or remove base_model")
        let normalize = isOn script i "normalize"
        let xs = members weighted
        let w = weights script i weighted
        // Equal weights cancel.
        let equal = normalize && (List.distinct w).Length = 1 && numbers w.Head |> List.forall ((<>) 0.0)
        let W = if equal then "" else unless "1" "weights" (script.Value("weights" + i.Suffix, texts i.LayerCount w))
        $"average({xs}{W}" + unless "true" "normalize" (if normalize then "true" else "false") + ")"
    | "slerp" ->
        let a = origin.Value
        $"""slerp({a}, {operand others.Head}, {value "t"})"""
    | "nuslerp" ->
        let w = weights script i others
        let w = if w |> List.forall (varies >> not) && abs (w |> List.sumBy (known >> Option.get)) < 1e-6 then [ constant 1.0; constant 1.0 ] else w
        let rows = not (isOn script i "nuslerp_flatten")
        if rows && isOn script i "nuslerp_row_wise" then
            script.Inexpressible(span i, "nuslerp_row_wise goes by column in mergekit", "TVA has rows and whole tensors; rows are taken")
        let W = list (w |> List.map (text i.LayerCount))
        let by = if rows then ", by = \"row\"" else ""
        let apart (s: Source) = if i.Base.IsSome then $"{operand s} - {origin.Value}" else operand s
        let start = if i.Base.IsSome then origin.Value + " + " else ""
        $"{start}nuslerp({apart others[0]}, {apart others[1]}, {W}{by})"
    | "multislerp" ->
        let w = weights script i others
        if not (isOn script i "normalize_weights") then
            script.Inexpressible(span i, "normalize_weights false", "TVA's multislerp divides the weights by their sum")
        if single script i "eps" <> 1e-8 then
            script.Inexpressible(span i, "eps other than 1e-8", "TVA's multislerp has 1e-8")
        let W = unless "1" "weights" (script.Value("weights" + i.Suffix, texts i.LayerCount w))
        match others, i.Base with
        | [ one ], _ -> operand one
        | _, Some _ -> $"{origin.Value} + multislerp({family.Value}{W})"
        | _ -> $"multislerp({members others}{W})"
    | "karcher" ->
        let steps = unless "10" "steps" (single' "max_iter")
        let tol = unless "1e-05" "tol" (single' "tol")
        $"karcher({members i.Sources}{steps}{tol})"
    | "model_stock" ->
        let by = if isOn script i "filter_wise" then ", by = \"row\"" else ""
        let F = family.Value
        $"{origin.Value} + model_stock({F}{by})"
    | "sce" ->
        if known (global' script i "int8_mask") <> Some 0.0 then
            script.Comment "int8_mask has no effect here: it is how mergekit saves memory"
        let F = family.Value
        $"""{origin.Value} + sce({F}{unless "1" "density" (value "select_topk")})"""
    | "nearswap" ->
        let x = operand others.Head
        $"""{origin.Value} + nearswap({x} - {origin.Value}, {value "t"})"""
    | "arcee_fusion" -> $"fusion({origin.Value}, {operand others.Head})"
    | "ram" ->
        let F = family.Value
        $"""{origin.Value} + ram({F}{unless "1e-05" "epsilon" (value "epsilon")})"""
    | "ramplus_tl" ->
        let F = family.Value
        let r = unless "0.1" "r" (value "r")
        let alpha = unless "0.2" "alpha" (value "alpha")
        $"""{origin.Value} + ram_plus({F}{r}{alpha}{unless "1e-05" "epsilon" (value "epsilon")})"""
    | "passthrough" ->
        let s = i.Sources.Head
        let scale = (each script i "scale" s).Value
        if known scale = Some 1.0 then operand s else $"""point({script.Value("scale" + i.Suffix, text i.LayerCount scale)} * raw({operand s}))"""
    | _ ->
        let F = family.Value
        vectors script i origin.Value F others
