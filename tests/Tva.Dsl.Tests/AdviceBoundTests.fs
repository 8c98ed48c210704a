/// What `advise` tells under smoothness and from a basis, against float64 distances of the models that are made.
module Tva.Dsl.Tests.AdviceBoundTests

open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport
open Tva.Dsl.Tests.AdviceTests

let private bounds f = rowsOf "bound" f |> List.choose (fun row -> match row[2] with Cell.Figure v -> Some v | _ -> None)

let private square v = v * v

[<Fact>]
let ``bounds are half L times the squared distance, and from a basis that of what comes back`` () =
    use temp = new TempFolder()
    let script =
        heading
        + $"B = tasks @basis(4, \"svd\")\nadvise({forgetting}, alpha = 0, smoothness = [3, 2], basis = B)\nadvise({adding}, alpha = 0, smoothness = 2)\nerrors(B)\n"
        + "base + B.letters - B.digits |> save(\"forgot.safetensors\")"
    let ran = runOk temp.Path script
    let digits, letters = task "digits", task "letters"
    match findings ran with
    | [ forget; add ] ->
        // θ − θ_letters = letters − digits − letters.
        Assert.Equal(square (norm digits), (bounds forget)[0], 1e-6)
        // The distance of the model that the basis's members make, from its file.
        let made = difference (read (temp.File "forgot.safetensors")) (read (taskFile "letters"))
        Assert.Equal(square (norm made), (bounds forget)[1], 1e-5)
        for name in [ "digits"; "letters" ] do
            match (rowsOf "error in the basis" forget |> List.find (fun row -> text row[1] = name))[2] with
            | Cell.Figure v -> Assert.Equal(cell (tables ran).Head name "relative_error", v, 1e-9)
            | other -> Assert.Fail $"{other}"
        let far = minus digits letters
        Assert.Equal(square (1.05 * norm letters), (bounds add)[0], 1e-6)
        Assert.Equal(square (norm (sum [ digits; scale 0.05 letters ])), (bounds add)[1], 1e-6)
        Assert.Equal(square (norm far), (bounds add)[2], 1e-6)
        Assert.Equal(square (norm far), (bounds add)[3], 1e-6)
    | other -> Assert.Fail $"{other}"

[<Theory>]
[<InlineData(false)>]
[<InlineData(true)>]
let ``what comes back from a basis is advised on by its tasks`` (stored: bool) =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(4) |> save(\"four\")") |> ignore
    let small = if stored then "small = family(\"four\", base)\n" else "small = tasks @basis(4)\n"
    let script =
        heading + small
        + "a = advise(forget(small.digits, keep = small.letters), smoothness = 2)\na\nadvise(add(small.digits, small.letters))\nprint(a.alpha)\ncosine(small.digits, small.letters)"
    let ran = runOk temp.Path script
    let cos = cosineOf (task "digits") (task "letters")
    match numbers ran with
    | [ alpha; back ] ->
        Assert.Equal(cos, alpha, 1e-9)
        // What comes back has the few atoms in common.
        Assert.True(back > 0.9, string back)
    | other -> Assert.Fail $"{other}"
    match findings ran with
    | [ forget; add ] ->
        Assert.Equal(2, (rowsOf "error in the basis" forget).Length)
        let plain, fromBasis = (bounds forget)[0], (bounds forget)[1]
        Assert.Equal(square (norm (task "digits")), plain, 1e-6)
        let lost = rowsOf "error in the basis" forget |> List.sumBy (fun row -> match row[2] with Cell.Figure v -> v * norm (task (text row[1])) | _ -> nan)
        let most = square (norm (task "digits") + lost)
        if stored then Assert.Equal(most, fromBasis, 1e-6) else Assert.True(fromBasis <= most, $"{fromBasis} {most}")
        Assert.Contains(rowsOf "bound" add, fun row -> text row[1] = "from the basis" && text row[3] = "unchanged")
        Assert.Contains(rowsOf "bound" add, fun row -> (text row[4]).Contains "`smoothness`")
    | other -> Assert.Fail $"{other}"

[<Fact>]
let ``a basis whose folder says nothing of its tasks asks for α`` () =
    use temp = new TempFolder()
    // A folder of the published code has no Gram matrix.
    let small = $"base = model(\"{golden}/tvb/zeroshot.safetensors\")\nsmall = family(\"{golden}/tvb/ae_softmax\", base)\n"
    let found = (run temp.Path (small + "advise(add(small.TaskA, small.TaskB))")).Diagnostics |> List.map _.Message
    Assert.Contains(found, fun m -> m.Contains "the basis does not tell how its tasks `TaskA` and `TaskB` lie to each other")
    let f = (findings (runOk temp.Path (small + "advise(add(small.TaskA, small.TaskB), alpha = 0, smoothness = 2)"))).Head
    for row in rowsOf "error in the basis" f do
        Assert.Equal("not told", text row[3])
    Assert.Empty(bounds f)

[<Theory>]
[<InlineData("ae", "unchanged")>]
[<InlineData("cluster", "unchanged")>]
[<InlineData("svd", "not covered")>]
[<InlineData("pca", "not covered")>]
let ``the addition bound stays where the atoms are convex combinations`` (method: string, says: string) =
    use temp = new TempFolder()
    let ran = runOk temp.Path (heading + $"advise({adding}, alpha = 0, smoothness = 2, basis = basis(tasks, 4, \"{method}\"{trainedFor 50 method}))")
    let row = rowsOf "bound" (findings ran).Head |> List.find (fun row -> text row[1] = "from the basis")
    Assert.Equal(says, text row[3])
