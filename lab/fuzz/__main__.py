from lab.fuzz.run import main

main()
