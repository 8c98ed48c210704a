/// Bases of families that are not as usual: layers left alone, tasks that are zero or alike, other types, integer tensors, NaN.
module Tva.Dsl.Tests.BasisOddTests

open System
open System.Collections.Generic
open System.IO
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

/// `a` leaves all but one layer alone, so that there the others span everything.
let private uneven = heading + "f = family({ a: tasks.digits[layers(1..1)], b: tasks.letters, c: tasks.arrows, d: zeros(base) }, base)\n"

let private members = [ "a"; "b"; "c" ]

let private expected =
    lazy
        (let tasks = Map taskVectors.Value
         let alone = tasks["digits"] |> Map.map (fun name x -> if groupOf "layer" name = "layer 1" then x else Array.map (fun _ -> 0.0) x)
         [ alone; tasks["letters"]; tasks["arrows"] ])

let cases =
    [ for method in [ "svd"; "sample"; "random"; "pca"; "ae" ] do
          for by in [ "layer"; "tensor" ] do
              for atoms in [ 2; 3 ] -> [| box method; box by; box atoms |] ]

[<Theory>]
[<MemberData(nameof cases)>]
let ``where a layer has fewer directions than atoms, fewer are kept there`` (method: string) (by: string) (atoms: int) =
    use temp = new TempFolder()
    let text = uneven + $"b = f @basis({atoms}, \"{method}\", by = \"{by}\"{trainedFor 300 method})\nerrors(b)\ncoefficients(b)\nb |> save(\"kept\")\n" + saveMembers "b" members "" + "\nb.d |> save(\"d.safetensors\")"
    let ran = runOk temp.Path text
    let errors = List.head (tables ran)
    for name, task in List.zip members expected.Value do
        let got = read (temp.File $"{name}.safetensors")
        Assert.Equal(norm (minus task got) / norm task, cell errors name "relative_error", 2e-5)
        // Three directions are all there are; but a sample may draw a task that is zero in a layer.
        if atoms = 3 && method <> "sample" then
            near task got (2e-5 * largest task)
    if atoms = 3 && method <> "sample" then
        Assert.True(norm (read (temp.File "d.safetensors")) < 1e-5)
    Assert.Equal(4, (tables ran |> List.item 1).Columns.Length)
    // From its folder it is the same, and grows.
    let again =
        runOk temp.Path (heading + "b = family(\"kept\", base)\nx = tasks.shapes\ng = extend(b, x)\nh = refine(g, 2 * tasks.stripes)\nerrors(b)\nprint(norm(g.shapes - x))\n" + saveMembers "b" members "again-" + "\nprint(norm(h))\nerrors(h)")
    let errors' = List.head (tables again)
    for name in members do
        Assert.Equal(cell errors name "relative_error", cell errors' name "relative_error", 1e-9)
        let was = read (temp.File $"{name}.safetensors")
        near was (read (temp.File $"again-{name}.safetensors")) (3e-6 * largest was)
    Assert.InRange(List.head (numbers again), 0.0, 1e-6)

[<Fact>]
let ``an error by layer holds for every task`` () =
    let text by = uneven + $"b = family({{ a: f.a, b: f.b, c: f.c }}, base) @basis(method = \"svd\", error = 0.4, by = \"{by}\")\nerrors(b)\nsize(atoms(b))"
    for by in [ "all"; "layer"; "tensor" ] do
        let t = runOk "." (text by) |> tables |> List.head
        for name in members do
            Assert.InRange(cell t name "relative_error", 0.0, 0.4)

/// A checkpoint of a float tensor in two layers, of another type, and of ids.
let private write (path: string) (dtype: DType) (value: int -> float32) (ids: byte[]) =
    let tensors = [| struct ("layers.0.w", dtype, Shape(5L, 7L)); struct ("layers.1.w", DType.F32, Shape(11L)); struct ("ids", DType.I64, Shape(2L)) |]
    use writer = new CheckpointWriter(path, tensors, Dictionary<string, string>())
    let bytes dtype i =
        match dtype with
        | DType.F32 -> BitConverter.GetBytes(value i)
        | DType.F16 -> BitConverter.GetBytes(Half.op_Explicit (value i): Half)
        | _ -> BitConverter.GetBytes(uint16 (BitConverter.SingleToUInt32Bits(value i) >>> 16))
    writer.Write(0, 0L, ReadOnlySpan(Array.collect (bytes dtype) [| 0..34 |]))
    writer.Write(1, 0L, ReadOnlySpan(Array.collect (bytes DType.F32) [| 35..45 |]))
    writer.Write(2, 0L, ReadOnlySpan ids)
    writer.Commit()

let private bytesOf (path: string) (name: string) =
    use c = Checkpoint.Open path
    let t = c.Find name |> Unchecked.nonNull
    let bytes = Array.zeroCreate<byte> (int t.Bytes)
    c.Read(t, 0L, bytes)
    t.DType, bytes

/// Small integers over 8, exact in every type.
let private some seed (i: int) = float32 ((i * 7 + seed * 13 + i * i * seed) % 17 - 8) / 8f

[<Theory>]
[<InlineData(DType.BF16, "f32")>]
[<InlineData(DType.F16, "f32")>]
[<InlineData(DType.F16, "int8")>]
[<InlineData(DType.BF16, "bf16")>]
let ``halves and ids come through a basis`` (dtype: DType) (stored: string) =
    use temp = new TempFolder()
    let ids = [| 1uy .. 16uy |]
    write (temp.File "base.safetensors") dtype (fun _ -> 0f) ids
    for i in 1..3 do
        write (temp.File $"t{i}.safetensors") dtype (some i) ids
    let b = "base = model(\"base.safetensors\")\n"
    runOk temp.Path (b + $"family(\"t?.safetensors\", base) @basis(3, \"sample\") |> save(\"kept\", dtype = \"{stored}\")") |> ignore
    // Atoms have no ids.
    let atoms = Directory.GetFiles(temp.File "kept", "atoms-*") |> Array.exactlyOne
    (use c = Checkpoint.Open atoms
     Assert.Equal<string list>([ "layers.0.w"; "layers.1.w" ], c.Tensors |> Seq.map _.Name |> Seq.sort |> List.ofSeq))
    let ran = runOk temp.Path (b + "b = family(\"kept\", base)\nerrors(b)\nbase + b.t2 |> save(\"m.safetensors\")\nb.t2 |> save(\"d.safetensors\")")
    for file in [ "m.safetensors"; "d.safetensors" ] do
        Assert.Equal((DType.I64, ids), bytesOf (temp.File file) "ids")
        let dtype', _ = bytesOf (temp.File file) "layers.0.w"
        Assert.Equal(dtype, dtype')
    if stored <> "int8" then
        Assert.Equal(bytesOf (temp.File "t2.safetensors") "layers.0.w", bytesOf (temp.File "m.safetensors") "layers.0.w")
        Assert.Equal(bytesOf (temp.File "t2.safetensors") "layers.1.w", bytesOf (temp.File "m.safetensors") "layers.1.w")
    let t = List.head (tables ran)
    let task = [ for i in 0..45 -> float (some 2 i) ]
    Assert.Equal(sqrt (List.sumBy (fun v -> v * v) task), cell t "t2" "norm", 1e-6)
    // Another base's ids are another base.
    write (temp.File "base.safetensors") dtype (fun _ -> 0f) (Array.rev ids)
    Assert.Equal<string list>([ "TVA0515" ], findings temp.Path (b + "b = family(\"kept\", base)\nprint(norm(b.t1))") |> List.map fst)

[<Fact>]
let ``a task with NaN is named, by layer too`` () =
    use temp = new TempFolder()
    let ids = [| 1uy .. 16uy |]
    write (temp.File "base.safetensors") DType.F32 (fun _ -> 0f) ids
    write (temp.File "t1.safetensors") DType.F32 (some 1) ids
    write (temp.File "t2.safetensors") DType.F32 (fun i -> if i = 40 then nanf else some 2 i) ids
    write (temp.File "t3.safetensors") DType.F32 (fun i -> if i = 3 then infinityf else some 3 i) ids
    let text by = $"base = model(\"base.safetensors\")\nerrors(family(\"t?.safetensors\", base) @basis(2, \"svd\", by = \"{by}\"))"
    for by, who in [ "all", "`t2`, `t3`: NaN or infinite elements"; "layer", "`t3`: NaN or infinite elements at layer 0"; "tensor", "`t" ] do
        let e = Assert.Throws<FaultException>(fun () -> runOk temp.Path (text by) |> ignore)
        Assert.Contains(who, e.Message)
    // None of it is kept for later.
    Assert.Throws<FaultException>(fun () -> runAs RunSettings.Default temp.Path (text "all") |> ignore) |> ignore
    Assert.Empty(Directory.GetFiles(temp.Path, ".tva-gram-*"))

[<Fact>]
let ``tasks in other orders of magnitude are kept alike`` () =
    use temp = new TempFolder()
    let text = heading + "f = family({ a: 1e-12 * tasks.digits, b: 1e6 * tasks.letters, c: tasks.arrows }, base)\nb = f @basis(3, \"svd\")\nerrors(b)\n" + saveMembers "b" members ""
    let t = runOk temp.Path text |> tables |> List.head
    let tasks = Map taskVectors.Value
    for name, task in [ "a", scale 1e-12 tasks["digits"]; "b", scale 1e6 tasks["letters"]; "c", tasks["arrows"] ] do
        Assert.Equal(1.0, cell t name "norm" / norm task, 1e-5)
        let got = read (temp.File $"{name}.safetensors")
        Assert.InRange(norm (minus task got) / norm task, 0.0, 1e-4)
