/// `stack`: layers of models one after another, compared byte for byte with what they are taken from.
module Tva.Dsl.Tests.StackTests

open System
open System.IO
open Tva.Core.Tensors
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport
open Tva.Dsl.Tests.Written

let private text = $"base = model(\"{baseFile}\")\nd = model(\"{taskFile names[2]}\")\nA = d - base\nB = model(\"{taskFile names[4]}\") - base\n"

/// Layer of a zoo tensor, which is called blocks.N.rest.
let private layer (name: string) = if name.StartsWith "blocks." then int (name.Split('.')[1]) else -1

let private at (name: string) (layer: int) =
    let parts = name.Split '.'
    String.Join(".", Array.append [| parts[0]; string layer |] parts[2..])

/// What a stack of these layers of these tensors is, with the tensors of no layer of another.
let private stacked (parts: (Map<string, 'a> * int list) list) (outside: Map<string, 'a>) =
    let layers = parts |> List.collect (fun (m, layers) -> layers |> List.map (fun l -> m, l))
    Map
        [ for i, (m, l) in List.indexed layers do
              for KeyValue(name, t) in m do
                  if layer name = l then at name i, t
          for KeyValue(name, t) in outside do
              if layer name < 0 then name, t ]

let private sameAs (expected: Map<string, DType * string * byte[]>) path =
    let actual = bytesOf path
    Assert.Equal<string list>(expected.Keys |> List.ofSeq, actual.Keys |> List.ofSeq)
    for KeyValue(name, want) in expected do
        Assert.True((want = actual[name]), $"{name} differs")

let private bytesIn (m: Map<string, DType * string * byte[]>) = m |> Seq.sumBy (fun t -> let _, _, b = t.Value in int64 b.Length)

let private saved (temp: TempFolder) body =
    let ran = runOk temp.Path (text + body + " |> save(\"s.safetensors\")")
    ran, temp.File "s.safetensors"

let private b, d = lazy bytesOf baseFile, lazy bytesOf (taskFile names[2])

[<Fact>]
let ``layers are those of the parts, to the byte, in one pass that reads only them`` () =
    use temp = new TempFolder()
    let ran, path = saved temp "stack(base[layers(0..2)], d[layers(1..3)])"
    let expected = stacked [ b.Value, [ 0..2 ]; d.Value, [ 1..3 ] ] b.Value
    sameAs expected path
    Assert.Equal<(string * int64 * int64) list>([ "saving s.safetensors", bytesIn expected, bytesIn expected ], passes ran)
    let notes = ran.Events |> List.choose (function Event.Noted n -> Some n | _ -> None)
    Assert.Equal<string list>([ "s.safetensors has 6 layers: the config.json that goes with it needs \"num_hidden_layers\": 6" ], notes)

[<Fact>]
let ``whole models, parts that come twice and tensors of no layer from elsewhere`` () =
    use temp = new TempFolder()
    let _, path = saved temp "stack(base, d[layers(2)], d[layers(2)], d[not layers(1..3)], outside = d)"
    sameAs (stacked [ b.Value, [ 0..3 ]; d.Value, [ 2; 2; 0 ] ] d.Value) path

[<Fact>]
let ``a stack is stacked again`` () =
    use temp = new TempFolder()
    let _, path = saved temp "stack(stack(base[layers(2..3)], d[layers(0..1)])[layers(1..3)], d[layers(3)])"
    sameAs (stacked [ b.Value, [ 3 ]; d.Value, [ 0; 1; 3 ] ] b.Value) path

/// Expressions whose values at a tensor follow from its name, its layer or its elements in many ways.
let private expressions =
    [ "0.5 * base + 0.5 * d"
      "slerp(base, d, 0.3)"
      "base + ramp(0, 0.3, 1) * A"
      "base + ramp(0.2, 1.5) * A"
      "base + { \"blocks.1.*\": 0.5, \"*.qkv.*\": 0.25, else: 1 } * A"
      "base + { \"*.qkv.*\": ramp(0, 1), else: 0.5 } * A"
      "base + A[\"*.fc.*\" and layers(1..2)] + B[not match(\"blocks\\\\.[12]\")]"
      "base + trim(A, 0.3) - 0.1 * trim(B, 0.5, by = \"layer\")"
      "base + (norm(A, by = \"layer\") / norm(B, by = \"layer\")) * B"
      "base + (1 / quantile(abs(A), 0.5, by = \"tensor\")) * 0.01 * B"
      "base + ties(family(A, B), density = 0.3)"
      "base + dare(family(A, B), 0.5, seed = 3)"
      "base + drop(A, 0.5, 7) * ramp(0.5, 1)"
      "base + rank(abs(A)) * A"
      "base + lowrank(A, 3)"
      "base + { w = ramp(0.2, norm(A, by = \"layer\")); w * B }"
      "base + (numel(A) / 1e6) * A + (numel(A, by = \"layer\") / 1e6) * B"
      "base + 0.3 * sum(family(A, B) @basis(1, \"svd\"))"
      "median([base, d, base + B])" ]

let each () = TheoryData<string>(expressions)

[<Theory>]
[<MemberData(nameof each)>]
let ``a part computes at its layers what it computes in its own model`` (expression: string) =
    use temp = new TempFolder()
    let body = $"m = {expression}\nm |> save(\"m.safetensors\")\nstack(d[layers(3)], m[layers(1..3)], m[layers(0..1)], outside = m)"
    let _, path = saved temp body
    let m = bytesOf (temp.File "m.safetensors")
    Assert.True((m <> b.Value), "the expression does something")
    sameAs (stacked [ d.Value, [ 3 ]; m, [ 1..3 ]; m, [ 0..1 ] ] m) path

[<Fact>]
let ``a merged part reads only its layers`` () =
    use temp = new TempFolder()
    let ran, path = saved temp "stack((0.5 * base + 0.5 * d)[layers(0..2)], base[layers(2..3)])"
    let parts = stacked [ d.Value, [ 0..2 ] ] d.Value
    let all = stacked [ b.Value, [ 0; 1; 2; 2; 3 ] ] b.Value
    Assert.Equal<(string * int64 * int64) list>([ "saving s.safetensors", bytesIn parts + bytesIn all, bytesIn all ], passes ran)
    let x, y = read baseFile, read (taskFile names[2])
    let half = zip (fun a b -> float (float32 (0.5 * a + 0.5 * b))) x y
    near (stacked [ half, [ 0..2 ]; x, [ 2..3 ] ] half) (read path) 1e-7

[<Fact>]
let ``a schedule whose coefficient is 0 at a layer doesn't read it there`` () =
    use temp = new TempFolder()
    let ran, _ = saved temp "stack((base + ramp(0, 1) * A)[layers(0..1)], base[layers(2..3)])"
    let one = stacked [ d.Value, [ 1 ] ] Map.empty
    // `ln` stands where a schedule ends, as a final norm does: there d is read in place of base.
    Assert.Equal<int64 list>([ size + bytesIn one ], passes ran |> List.map (fun (_, r, _) -> r))

[<Fact>]
let ``operators work on stacks, and schedules go by their layers`` () =
    use temp = new TempFolder()
    let ran, path = saved temp "s = stack(base[layers(0..2)], base[layers(1..3)])\nt = stack(d[layers(0..2)], d[layers(1..3)])\nprint(norm(t - s), norm((t - s)[layers(5)]))\ns + ramp(0, 0.5) * (t - s)"
    let x, y = read baseFile, read (taskFile names[2])
    let layers = [ 0; 1; 2; 1; 2; 3 ]
    let s, t = stacked [ x, layers ] x, stacked [ y, layers ] y
    let difference = zip (-) t s
    let only = difference |> Map.filter (fun name _ -> layer name = 5)
    match shownBy ran with
    | [ [ Shown.Number all; Shown.Number one ] ] ->
        Assert.Equal(norm difference, all, 1e-6)
        Assert.Equal(norm only, one, 1e-6)
    | other -> Assert.Fail $"{other}"
    let share name = if layer name >= 0 then 0.1 * float (layer name) elif name.StartsWith "ln" then 0.5 else 0.0
    near (s |> Map.map (fun name x -> Array.map2 (fun a b -> a + share name * (b - a)) x t[name])) (read path) 1e-6

[<Fact>]
let ``stacks by one text over other layers are told apart`` () =
    use temp = new TempFolder()
    let ran = runOk temp.Path (text + "def s(k: Scalar): Model = stack((base + ramp(0, 1) * A)[layers(0..k)], base[layers(k..3)])\nt = stack(base[layers(0..2)], base[layers(2..3)])\nu = stack(base[layers(0..1)], base[layers(1..3)])\nprint(norm(s(2) - t)^2, norm(s(1) - u)^2, norm(s(2) - t)^2)")
    let x = difference (read (taskFile names[2])) (read baseFile)
    let square upTo =
        x |> Map.toSeq |> Seq.sumBy (fun (name, v) ->
            let k = match layer name with -1 -> (if name.StartsWith "ln" then 1.0 else 0.0) | l -> if l <= upTo then float l / 3.0 else 0.0
            k * k * Array.sumBy (fun e -> e * e) v)
    match shownBy ran with
    | [ [ Shown.Number a; Shown.Number b; Shown.Number c ] ] ->
        Assert.Equal(square 2, a, 1e-6)
        Assert.Equal(square 1, b, 1e-6)
        Assert.Equal(a, c)
    | other -> Assert.Fail $"{other}"

[<Fact>]
let ``types are those of the parts, tensors that are no numbers are copied, and what is said of a tensor names it as its file does`` () =
    use temp = new TempFolder()
    let models = [ "a", bf16, 1.0; "b", f32, 2.0 ]
    for name, make, v in models do
        save (temp.File $"{name}.safetensors")
            [ make "h.0.w" [ 2; 2 ] [ v; v; v; v ]; make "h.1.w" [ 2; 2 ] [ v + 0.5; v; v; infinity ]; i64 "h.0.ids" [ 2 ] [ int64 v; 7L ]; i64 "h.1.ids" [ 2 ] [ 8L; 9L ]; make "wte" [ 2 ] [ v; v ] ]
    let ran = runOk temp.Path "a = model(\"a.safetensors\")\nb = model(\"b.safetensors\")\nstack(a, b[layers(0)], a[layers(0)]) |> save(\"s.safetensors\")\nstack(a, model(\"b.safetensors\", dtype = \"f16\")[layers(0)]) |> save(\"t.safetensors\")"
    let s = bytesOf (temp.File "s.safetensors")
    Assert.Equal<string list>([ "h.0.ids"; "h.0.w"; "h.1.ids"; "h.1.w"; "h.2.ids"; "h.2.w"; "h.3.ids"; "h.3.w"; "wte" ], s.Keys |> List.ofSeq)
    let a, b = bytesOf (temp.File "a.safetensors"), bytesOf (temp.File "b.safetensors")
    for from, name, into in [ a, "h.0.w", "h.0.w"; a, "h.1.w", "h.1.w"; b, "h.0.w", "h.2.w"; a, "h.0.w", "h.3.w"; a, "h.0.ids", "h.0.ids"; b, "h.0.ids", "h.2.ids"; a, "h.0.ids", "h.3.ids" ] do
        Assert.Equal(from[name], s[into])
    let type' (t, _, _) = t
    let t = bytesOf (temp.File "t.safetensors")
    Assert.Equal(DType.F16, type' t["h.2.w"])
    Assert.Equal(DType.BF16, type' t["h.0.w"])
    let warned = ran.Events |> List.choose (function Event.Warned w -> Some w | _ -> None)
    Assert.Contains("a.safetensors: tensor `h.1.w` has 1 infinite elements", warned |> List.map (fun w -> w.Replace(temp.Path + "/", "")))

[<Fact>]
let ``the file says which files it came from, each once`` () =
    use temp = new TempFolder()
    let _, path = saved temp "stack(base[layers(0..1)], base[layers(1..2)], d[layers(3)])"
    use c = Tva.Core.Checkpoints.Checkpoint.Open path
    use inputs = System.Text.Json.JsonDocument.Parse(c.Metadata["tva.inputs"])
    Assert.Equal<string list>([ baseFile; taskFile names[2] ], [ for p in inputs.RootElement.EnumerateObject() -> p.Name ] |> List.sort)

let private codes folder body = findings folder (text + body) |> List.map fst

[<Theory>]
[<InlineData("stack(base[layers(0..5)], d)", "TVA0531")>]
[<InlineData("stack(base[layers(-1..2)], d)", "TVA0531")>]
[<InlineData("stack(base[\"*.qkv.*\"])", "TVA0533")>]
[<InlineData("stack(base[\"nothing\"])", "TVA0506 TVA0532")>]
[<InlineData("stack(A[layers(0..1)])", "TVA0404")>]
[<InlineData("stack(base, family(A, B))", "TVA0310")>]
[<InlineData("stack(base, outside = A)", "TVA0404")>]
[<InlineData("stack(base, outside = base[layers(0)])", "TVA0406")>]
[<InlineData("stack()", "TVA0320")>]
[<InlineData("stack(base, inside = d)", "TVA0322")>]
[<InlineData("stack(base, base + A / norm(A))", "TVA0536")>]
[<InlineData("stack(base, base + trim(A, 0.1, by = \"all\"))", "TVA0536")>]
[<InlineData("stack(base, base + sum(family(A, B) @basis(1, \"svd\", by = \"layer\")))", "TVA0536")>]
[<InlineData("x = base[layers(0..1)]", "TVA0406")>]
[<InlineData("stack(base[layers(0..2)]) + A", "TVA0502")>]
[<InlineData("def f(m: Model): Model = stack(m[layers(0..1)], m)\nf(base[layers(0)])", "TVA0406")>]
let ``what can't be stacked is said`` (body: string) (expected: string) =
    use temp = new TempFolder()
    Assert.Equal<string list>(expected.Split ' ' |> List.ofArray, codes temp.Path body)

[<Fact>]
let ``models of another form are told by their tensors`` () =
    use temp = new TempFolder()
    let write name (tensors: Tensor list) = save (temp.File $"{name}.safetensors") tensors
    write "a" [ f32 "h.0.w" [ 2 ] [ 1; 2 ]; f32 "h.1.w" [ 2 ] [ 1; 2 ]; f32 "h.1.extra" [ 1 ] [ 3 ] ]
    write "wide" [ f32 "h.0.w" [ 3 ] [ 1; 2; 3 ]; f32 "h.0.extra" [ 1 ] [ 0 ] ]
    write "other" [ f32 "h.0.v" [ 2 ] [ 1; 2 ] ]
    write "flat" [ f32 "w" [ 2 ] [ 1; 2 ] ]
    write "towers" [ f32 "text.0.w" [ 1 ] [ 1 ]; f32 "vision.0.w" [ 1 ] [ 2 ] ]
    let found body = findings temp.Path $"a = model(\"a.safetensors\")\n{body}"
    Assert.Equal<(string * string) list>(
        [ "TVA0534", "the layers of a.safetensors and wide.safetensors are not alike\n    of another shape (1): h.*.w [2] against [3]" ],
        found "stack(a, model(\"wide.safetensors\"))")
    Assert.Equal<(string * string) list>(
        [ "TVA0534", "the layers of a.safetensors and other.safetensors are not alike\n    missing from other.safetensors (2): h.*.extra, h.*.w\n    only in other.safetensors (1): h.*.v" ],
        found "stack(a, model(\"other.safetensors\"))")
    Assert.Equal<string list>([ "TVA0530" ], found "stack(model(\"flat.safetensors\"))" |> List.map fst)
    Assert.Equal<string list>([], found "stack(a, outside = model(\"flat.safetensors\"))" |> List.map fst)
    Assert.Equal<(string * string) list>(
        [ "TVA0535", "towers.safetensors has 2 series of layers (text, vision), and the chosen numbers are taken from each" ],
        found "stack(model(\"towers.safetensors\"))")
