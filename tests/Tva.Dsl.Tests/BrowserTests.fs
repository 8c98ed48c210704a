/// Pages and pictures as a browser shows them: headless Chromium's tree, its console and its pixels, in light and in dark.
module Tva.Dsl.Tests.BrowserTests

open System
open System.Buffers.Binary
open System.Diagnostics
open System.IO
open System.IO.Compression
open System.Text
open Tva.Dsl
open Tva.Dsl.Tests.Scripts
open Xunit

let private chromium =
    lazy (let folders = (Environment.GetEnvironmentVariable "PATH" |> Option.ofObj |> Option.defaultValue "").Split Path.PathSeparator
          [ for name in [ "chromium"; "chromium-browser"; "google-chrome" ] do
                for folder in folders do
                    if File.Exists(Path.Combine(folder, name)) then
                        Path.Combine(folder, name) ]
          |> List.tryHead)

/// Runs the browser on a page: what it printed, and what its console had to say.
let private browse (folder: TempFolder) (arguments: string list) (file: string) =
    match chromium.Value with
    | None ->
        Assert.Skip "there is no Chromium here: apt-get install chromium (.ci/run does, as root)"
        "", []
    | Some program ->
        let start = ProcessStartInfo(program, RedirectStandardOutput = true, RedirectStandardError = true)
        let own = folder.File "profile"
        for a in
            [ "--headless"; "--no-sandbox"; "--disable-gpu"; "--disable-dev-shm-usage"; "--no-first-run"; "--disable-extensions"
              "--enable-logging=stderr"; "--hide-scrollbars"; $"--user-data-dir={own}" ]
            @ arguments
            @ [ $"file://{file}" ] do
            start.ArgumentList.Add a
        use browser = Process.Start start |> Unchecked.nonNull
        let out, error = browser.StandardOutput.ReadToEndAsync(), browser.StandardError.ReadToEndAsync()
        if not (browser.WaitForExit 60_000) then
            browser.Kill true
            failwith "the browser did not end within a minute"
        out.Result, [ for line in error.Result.Split '\n' do if line.Contains ":CONSOLE" then line ]

/// An 8-bit RGB or RGBA picture without interlacing, as Chromium writes them: width, height, and the colour at a place.
let private pixels (path: string) =
    let bytes = File.ReadAllBytes path
    let word at = BinaryPrimitives.ReadInt32BigEndian(ReadOnlySpan(bytes, at, 4))
    let width, height = word 16, word 20
    Assert.Equal(8uy, bytes[24])
    let channels = match bytes[25] with 2uy -> 3 | 6uy -> 4 | other -> failwith $"colour type {other}"
    use packed = new MemoryStream()
    let mutable at = 8
    while at < bytes.Length do
        let length = word at
        if Encoding.ASCII.GetString(bytes, at + 4, 4) = "IDAT" then
            packed.Write(bytes, at + 8, length)
        at <- at + 12 + length
    packed.Position <- 0L
    use unpacked = new ZLibStream(packed, CompressionMode.Decompress)
    let stride = width * channels
    let rows = Array.init height (fun _ -> Array.zeroCreate<byte> stride)
    let raw = Array.zeroCreate<byte> (stride + 1)
    for y in 0 .. height - 1 do
        unpacked.ReadExactly raw
        for i in 0 .. stride - 1 do
            let left = if i >= channels then int (rows[y][i - channels]) else 0
            let above = if y > 0 then int (rows[y - 1][i]) else 0
            let corner = if y > 0 && i >= channels then int (rows[y - 1][i - channels]) else 0
            let guess =
                match raw[0] with
                | 0uy -> 0
                | 1uy -> left
                | 2uy -> above
                | 3uy -> (left + above) / 2
                | _ ->
                    let p = left + above - corner
                    let a, b, c = abs (p - left), abs (p - above), abs (p - corner)
                    if a <= b && a <= c then left elif b <= c then above else corner
            rows[y][i] <- byte (int (raw[i + 1]) + guess)
    width, height, fun x y -> (rows[y][x * channels], rows[y][x * channels + 1], rows[y][x * channels + 2])

let private brightness (r: byte, g: byte, b: byte) = (0.2126 * float r + 0.7152 * float g + 0.0722 * float b) / 255.0

let private zoo = $"base = model(\"{examples}/zoo/base.safetensors\")\ntasks = family(\"{examples}/zoo/tasks/*.safetensors\", base)\n"

[<Fact>]
let ``a report is shown whole, without a word on the console, in light and in dark`` () =
    use temp = new TempFolder()
    Assert.Equal(Some Outcome.Completed, (run temp.Path (zoo + "report(tasks @basis(4), \"r.html\", title = \"Four </h1><script>document.title='x'</script>\")")).Outcome)
    let tree, said = browse temp [ "--dump-dom" ] (temp.File "r.html")
    Assert.Empty said
    for text in [ "Error per task"; "Spectrum"; "Similarity"; "Conflicts"; "Coefficients"; "Chosen: M = 4 atoms"; "digits"; "hatched: beyond the chosen M = 4" ] do
        Assert.Contains(text, tree)
    // Escaped in the file, escaped in the browser's tree: no element came of it.
    Assert.DoesNotContain("<script", tree)
    let shot name more =
        let png = temp.File name
        let _, said = browse temp ([ $"--screenshot={png}"; "--window-size=1000,2400" ] @ more) (temp.File "r.html")
        Assert.Empty said
        pixels png
    let look (width, height, at: int -> int -> byte * byte * byte) =
        let seen = [ for y in 0 .. 3 .. height - 1 do for x in 0 .. 3 .. width - 1 -> at x y ]
        brightness (at 2 2), seen |> List.countBy id |> List.filter (fun (_, n) -> n > 3) |> List.length, seen |> List.map brightness
    let light, colours, values = look (shot "light.png" [])
    Assert.True(light > 0.95, $"paper {light}")
    Assert.True(colours > 20, $"{colours} colours")
    Assert.True(values |> List.exists (fun v -> v < 0.2), "ink is dark on it")
    let dark, colours, values = look (shot "dark.png" [ "--force-dark-mode" ])
    Assert.True(dark < 0.1, $"paper {dark}")
    Assert.True(colours > 20, $"{colours} colours")
    Assert.True(values |> List.exists (fun v -> v > 0.8), "ink is light on it")

/// What is wrong with the texts of pictures as they are laid out: those that stand out of their picture, and those that lie on each other.
let private misplaced (folder: TempFolder) (pictures: string) =
    let script =
        "const wrong = []; for (const svg of document.querySelectorAll('svg')) { const frame = svg.getBoundingClientRect(); const all = [];"
        + "for (const t of svg.querySelectorAll('text')) { if (!t.textContent) continue; const title = t.querySelector('title')?.textContent ?? ''; const name = t.textContent.slice(title.length);"
        + "const r = t.getBoundingClientRect(); if (r.left < frame.left || r.right > frame.right || r.top < frame.top || r.bottom > frame.bottom) wrong.push(name + ' out of ' + svg.firstChild.textContent);"
        + "for (const [o, other] of all) if (Math.min(r.right, o.right) - Math.max(r.left, o.left) > 1 && Math.min(r.bottom, o.bottom) - Math.max(r.top, o.top) > 3) wrong.push(name + ' on ' + other);"
        + "all.push([r, name]); } } document.body.dataset.wrong = wrong.length + ' wrong: ' + wrong.slice(0, 5).join('; ');"
    let page = folder.File "laid-out.html"
    File.WriteAllText(page, $"<!DOCTYPE html><meta charset=\"utf-8\"><body>{pictures}<script>{script}</script></body>")
    let tree, said = browse folder [ "--dump-dom"; "--window-size=4000,3000" ] page
    Assert.Empty said
    let found = tree.IndexOf "data-wrong=\""
    Assert.True(found >= 0, "the page was measured")
    tree.Substring(found + 12, tree.IndexOf('"', found + 12) - found - 12)

[<Fact>]
let ``no text of a picture is cut off or lies on another`` () =
    use temp = new TempFolder()
    let text =
        zoo
        + "report(tasks @basis(4), \"r.html\")\nreport(basis(tasks, 3, \"pca\", by = \"layer\"), \"l.html\")\nreport(tasks, \"f.html\")\n"
        + "plot(conflicts([tasks.digits, tasks.letters, tasks.shapes]), \"c.svg\", title = \"A title that is much wider than what it stands above, WWWWWWWWWW\")\n"
        + "plot(norm(tasks, by = \"layer\"), \"n.svg\", kind = \"lines\", title = \"Wide, wide, wide, WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW\")\n"
        + "def f(k: Scalar): Delta = k * tasks.digits\ndef s(x: Delta): Scalar = norm(x)\nplot(sweep(f, 0..1 by 0.25, s), \"s.svg\")\nplot(similarity(tasks), \"m.svg\", axes = \"a long name for rows \\\\ columns\")"
    Assert.Equal(Some Outcome.Completed, (run temp.Path text).Outcome)
    let ours = Array.append (Directory.GetFiles(temp.Path, "*.svg")) (Directory.GetFiles($"{examples}/theory/pictures", "*.svg"))
    let pages =
        [ for name in [ "r"; "l"; "f" ] do
              let text = File.ReadAllText(temp.File $"{name}.html")
              text.Substring(text.IndexOf "<body", text.IndexOf "</body>" - text.IndexOf "<body") ]
    let style = File.ReadAllText(temp.File "r.html") |> fun t -> t.Substring(t.IndexOf "<style>", t.IndexOf "</style>" - t.IndexOf "<style>") + "</style>"
    Assert.StartsWith("0 wrong", misplaced temp (String.Join("\n", style :: pages @ (ours |> Array.map File.ReadAllText |> List.ofArray))))

[<Fact>]
let ``a picture's cells have the colours that its numbers ask for`` () =
    use temp = new TempFolder()
    File.WriteAllText(temp.File "t.csv", "x,1,2,3\na,0,0.5,1\nb,-1,-0.5,0\n")
    Assert.Equal(Some Outcome.Completed, (run temp.Path "plot(table(\"t.csv\"), \"t.svg\")").Outcome)
    let png = temp.File "t.png"
    let _, said = browse temp [ $"--screenshot={png}"; "--window-size=400,300" ] (temp.File "t.svg")
    Assert.Empty said
    let _, _, at = pixels png
    let cells =
        System.Xml.Linq.XDocument.Load(temp.File "t.svg").Descendants()
        |> Seq.filter (fun e -> e.Name.LocalName = "rect" && e.HasElements)
        |> Seq.map (fun e -> (let get (n: string) = float (string (e.Attribute(System.Xml.Linq.XName.Get n) |> Unchecked.nonNull |> _.Value)) in int (get "x") + 3, int (get "y") + 3))
        |> List.ofSeq
    let colour i = cells[i] ||> at
    let saturation (r: byte, g: byte, b: byte) = float (max r (max g b) - min r (min g b))
    let s = [ for i in 0..5 -> saturation (colour i) ]
    Assert.True(s[0] < 8.0 && s[5] < 8.0, "zero is paper")
    Assert.True(s[0] + 20.0 < s[1] && s[1] + 20.0 < s[2], string s)
    Assert.True(s[5] + 20.0 < s[4] && s[4] + 20.0 < s[3], string s)
    let isBlue (r: byte, _, b: byte) = b > r
    Assert.True(isBlue (colour 2) && not (isBlue (colour 3)), "above and below zero differ")
