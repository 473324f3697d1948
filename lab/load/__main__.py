from lab.load.run import main

main()
