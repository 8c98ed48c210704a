module Tva.Program

[<EntryPoint>]
let main _ = 0
