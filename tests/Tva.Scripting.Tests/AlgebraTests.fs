/// The algebra for .NET: the same values and the same mistakes as in a script.
module Tva.Scripting.Tests.AlgebraTests

open System
open System.IO
open Tva.Dsl
open Tva.Scripting
open Tva.Scripting.Algebra
open Xunit
open Tva.Dsl.Tests.Scripts

let private start () =
    let tva = new Session(examples)
    let baseModel = tva.Model "zoo/base.safetensors"
    tva, baseModel, tva.Family("zoo/tasks/*.safetensors", baseModel)

let private head = "base = model(\"zoo/base.safetensors\")\ntasks = family(\"zoo/tasks/*.safetensors\", base)\n"

let private inTva (expression: string) = Tva.Dsl.Tests.Scripts.number examples (head + expression)

[<Fact>]
let ``operators and functions are the language's`` () =
    let tva, baseModel, tasks = start ()
    use _ = tva
    let a, b = tasks["digits"], tasks["letters"]
    let same (expression: string) (x: Expression) = Assert.Equal(inTva expression, x.Number, 1e-9)
    same "norm(0.5 * tasks.digits - tasks.letters)" (norm (0.5 * a - b))
    same "norm(base + 0.5 * tasks.digits - tasks.letters @basis(4) - base)" (norm (baseModel + 0.5 * a - basis 4 b - baseModel))
    same "norm(ties(tasks, density = 0.2))" (call "ties" [ tasks ] [ "density", 0.2 ] |> norm)
    same "norm(ties(tasks, density = 0.2))" (ties 0.2 tasks |> norm)
    same "norm(weighted(tasks, [1, 2, 3, 4, 5, 6, 7, 8]))" (weighted [ 1.0..8.0 ] tasks |> norm)
    same "cosine(abs(tasks.digits), (-tasks.letters) ^ 2 / 3)" (cosine (abs a) ((-b) ** 2.0 / 3.0))
    same "norm(tasks.digits[\"*.qkv.*\"])" (norm a["*.qkv.*"])
    Assert.Equal("Model", (baseModel + a).Kind)
    Assert.Equal("Delta", (baseModel - baseModel).Kind)
    Assert.Equal("Family", (2 * tasks).Kind)
    Assert.Equal(8, (rows (similarity tasks)).Length)
    Assert.Equal("model(\"zoo/base.safetensors\")", baseModel.Text)

[<Fact>]
let ``what is wrong is an exception with the diagnostic`` () =
    let tva, baseModel, tasks = start ()
    use _ = tva
    let wrong (code: string) (f: unit -> Expression) =
        let e = Assert.Throws<TvaException>(f >> ignore)
        Assert.Contains(code, e.Message)
        Assert.Equal(code, e.Diagnostics.Head.Code)
    wrong "TVA0405" (fun () -> baseModel * baseModel)
    wrong "TVA0312" (fun () -> tasks["digit"])
    wrong "TVA0310" (fun () -> norm (tva.Eval "\"text\""))
    wrong "TVA0302" (fun () -> tva.Call("tise", tasks))
    wrong "TVA0401" (fun () -> save "out/x.safetensors" (0.5 * baseModel); baseModel)
    // The session goes on, and nothing of it stays.
    Assert.True((norm tasks["digits"]).Number > 0.0)
    let other, otherBase, _ = start ()
    use _ = other
    Assert.Contains("another session", Assert.Throws<TvaException>(fun () -> baseModel - otherBase |> ignore).Message)

[<Fact>]
let ``saving writes the file that a script would`` () =
    use temp = new TempFolder()
    let tva, baseModel, tasks = start ()
    use _ = tva
    let merged = baseModel + 0.3 * sum tasks
    merged |> save (temp.File "a.safetensors")
    let second = temp.File "b.safetensors"
    run examples (head + $"base + 0.3 * sum(tasks) |> save(\"{second}\")") |> ignore
    let a, b = load (temp.File "a.safetensors"), load second
    Assert.Equal(b.Count, a.Count)
    for KeyValue(name, (_, values)) in b do
        Assert.Equal<float[]>(values, snd a[name])
