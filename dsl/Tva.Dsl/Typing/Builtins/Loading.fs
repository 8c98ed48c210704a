/// `model`, `delta`, `zeros`, `raw`, `point`: from paths and points to tensors.
module Tva.Dsl.Typing.Builtins.Loading

open Tva.Core.Adapters
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context
open Tva.Dsl.Typing.Builtins.Opening

/// The dtype that an argument names; Some None where there is no such argument.
let dtypeOf ctx (call: Call) i =
    match call.Args[i] with
    | None -> Some None
    | Some a ->
        match a.Value with
        | Value.Text name ->
            match DTypes.TryParse name with
            | true, t when t.IsFloating() -> Some(Some t)
            | _ ->
                report ctx (FileDiagnostics.unknownDType name a.Span)
                None
        | Value.Unknown _ -> Some None
        | v ->
            report ctx (Diagnostics.wrongKind "`dtype`" "a Text" (describe ctx v) a.Span None)
            None

let private model ctx (call: Call) =
    match Call.text ctx call 0 "path" "", dtypeOf ctx call 1, Call.text ctx call 2 "prefix" "" with
    | Some path, Some dtype, Some prefix when not ctx.Abstract || path <> "" ->
        match openNamed ctx call.Args[0].Value.Span path prefix with
        | Some i when AdapterLayout.IsAdapter ctx.Program.Sources[i].Checkpoint ->
            report ctx (FileDiagnostics.isAdapter path call.Args[0].Value.Span)
            Value.Unknown Kind.Model
        | Some i when isVector ctx.Program i ->
            report ctx (FileDiagnostics.isTaskVector path call.Args[0].Value.Span)
            Value.Unknown Kind.Model
        | Some i ->
            ctx.Program.Models.Add i |> ignore
            Value.Tensor
                { Node = sourceNode ctx call.Span i
                  Weight = number ctx 1.0
                  Set = Some { Reference = i; DType = dtype } }
        | None -> Value.Unknown Kind.Model
    | _ -> Value.Unknown Kind.Model

let private delta ctx (call: Call) =
    match Call.text ctx call 0 "path" "",
          Call.model ctx call 1 "base",
          Call.choice ctx call 2 "missing" [ "error"; "zero" ] "error",
          Call.choice ctx call 3 "extra" [ "error"; "drop" ] "error",
          Call.choice ctx call 4 "vocab" vocabularies "by-row",
          Call.text ctx call 5 "prefix" "" with
    | Some path, Some b, Some missing, Some extra, Some vocabulary, Some prefix ->
        match deltaOf ctx call.Args[0].Value.Span path b missing extra vocabulary prefix with
        | Some t -> Value.Tensor t
        | None -> Value.Unknown Kind.Delta
    | _ -> Value.Unknown Kind.Delta

let private zeros ctx (call: Call) =
    Call.orUnknown (Call.tensor ctx call 0 "base") (fun b ->
        Value.Tensor { Node = number ctx 0.0; Weight = number ctx 0.0; Set = b.Set })

let private reweigh ctx (call: Call) weight =
    lift ctx $"`{call.Function}`" call.Span [ call.Args[0].Value.Value ] (function
        | [ Value.Tensor t ] -> Value.Tensor { t with Weight = number ctx weight }
        | [ Value.Unknown _ ] -> Value.Unknown(if weight = 1.0 then Kind.Model else Kind.Delta)
        | [ v ] ->
            report ctx (Diagnostics.wrongKind $"`{call.Function}`" "a Model or a Delta" (describe ctx v) call.Span None)
            Call.unknown
        | _ -> Call.unknown)

let private row name parameters variadic summary example result run : Builtin =
    { Name = name; Group = "load"; Parameters = parameters; Variadic = variadic; Summary = summary; Example = example; Result = result; Run = run }

let all =
    [ row "model" [ Call.required "path" Kind.Text; Call.optional "dtype" Kind.Text ""; Call.optional "prefix" Kind.Text "" ] false
          "The checkpoint at a path (safetensors, PyTorch or GGUF file, folder or index) as a Model; `dtype` is what results over it are stored as. `prefix = \"module.\"` is taken off the names that begin with it: training on several cards leaves that one."
          "model(\"zoo/base.safetensors\")" Kind.Model model
      row "delta"
          [ Call.required "path" Kind.Text; Call.required "base" Kind.Model
            Call.optional "missing" Kind.Text "\"error\""; Call.optional "extra" Kind.Text "\"error\""; Call.optional "vocab" Kind.Text "\"by-row\""
            Call.optional "prefix" Kind.Text "" ]
          false "The task vector θ − θ₀ of the checkpoint at a path, or that of a low-rank adapter: a PEFT folder (adapter_config.json) or a single file with PEFT's, diffusers' or kohya's keys. `missing = \"zero\"` takes absent tensors as unchanged, `extra = \"drop\"` leaves surplus ones out. `vocab = \"by-token\"` takes rows of embeddings and output layers by the token that both tokenizer.json give them: tokens that the base lacks are dropped, those that the other lacks unchanged. `prefix` as for `model`."
          "delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\"))" Kind.Delta delta
      row "family" [ Call.required "glob or list or record" Kind.Any; Call.optional "vocab" Kind.Text "\"by-row\""; Call.optional "prefix" Kind.Text "" ] true
          "Several task vectors over one base, by glob, list or record of paths, or from Deltas; `f.name` is a member. The folder of a basis is read as one, saved by tva or by the published code. `vocab` and `prefix` as for `delta`."
          "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))" Kind.Family Families.family
      row "zeros" [ Call.required "base" Kind.Model ] false "The Delta that changes nothing." "zeros(model(\"zoo/base.safetensors\"))" Kind.Delta zeros
      row "raw" [ Call.required "m" Kind.Tensor ] false "A Model's plain numbers as a Delta from zero." "norm(raw(model(\"zoo/base.safetensors\")))" Kind.Delta (fun c call -> reweigh c call 0.0)
      row "point" [ Call.required "d" Kind.Tensor ] false "A Delta from zero as a Model." "point(0.5 * raw(model(\"zoo/base.safetensors\")))" Kind.Model (fun c call -> reweigh c call 1.0) ]
