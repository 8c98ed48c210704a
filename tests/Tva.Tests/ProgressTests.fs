module Tva.Tests.ProgressTests

open System
open System.IO
open Tva
open Tva.Core.Execution
open Xunit

let private gib = 1L <<< 30

/// What is written when progress is told at the given seconds (of 10 GiB, one each second).
let private written watched (told: float list) =
    use error = new StringWriter()
    let mutable now = TimeSpan.Zero
    let host =
        { Command.host "/" "" TextWriter.Null error with
            Watched = watched
            Width = 60 }
    let progress = Progress(host, fun () -> now)
    progress.Started "saving m.safetensors"
    for s in told do
        now <- TimeSpan.FromSeconds s
        progress.Progressed(RunProgress(int64 (s * float gib), 10L * gib))
    now <- TimeSpan.FromSeconds 10.0
    progress.Finished(6L * gib, 4L * gib, now)
    progress.Saved("out/m.safetensors", 4L * gib)
    progress.Clear()
    error.ToString()

let private final = "saved out/m.safetensors (4 GiB, 10 s, 1 GiB/s)\n"

[<Fact>]
let ``a short run says what it saved`` () = Assert.Equal(final, written false [ 0.5; 1.0; 5.0 ])

[<Fact>]
let ``a log gets a line every ten seconds`` () =
    let text = written false [ for i in 0..190 -> float i / 10.0 ]
    Assert.Equal("saving m.safetensors: 100%, 10 GiB of 10 GiB, 1 GiB/s, 0.00 s left\n" + final, text)

[<Fact>]
let ``a terminal gets one line, redrawn at most ten times a second`` () =
    let text = written true [ for i in 1..200 -> float i / 100.0 ]
    let frames = text.Split '\r' |> Array.filter (fun f -> f.Contains '%')
    Assert.InRange(frames.Length, 10, 20)
    Assert.All(frames, fun f -> Assert.InRange(f.Length, 1, 59))
    Assert.StartsWith("saving m.safetensors: 20%, 2 GiB of 10 GiB, 1 GiB/s, 8.00 s left".Substring(0, 59), Array.last frames)
    // The line is wiped before what stays.
    Assert.EndsWith("\r" + final, text)
